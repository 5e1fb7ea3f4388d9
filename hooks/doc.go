// Package hooks is the HTTP API that the app calls: to publish, and to read and change held connections.
//
// # What the app calls
//
// The listener is meant for loopback or a unix socket. The body of a publish is the data, unchanged, with any content
// type, for one channel or several:
//
//	$ curl -d 'It has arrived.' 'http://127.0.0.1:9090/publish?channel=orders.42'
//	{"id":"0dzln3kxtdtb4","subscribers":3}
//	$ curl -d 'It has arrived.' 'http://127.0.0.1:9090/publish?channel=orders.42&channel=orders&event=arrived'
//	{"id":"0dzln3kxtdtb5","subscribers":7}
//
// Publish JSON. A string in "data" is published as its text, any other value as JSON:
//
//	$ curl -d '{"channel": "orders.42", "data": {"state": "arrived"}, "event": "state"}' http://127.0.0.1:9090/publish
//	{"id":"0dzln3kxtdtb6","subscribers":3}
//
// Publish that something has changed, without data. Subscribers receive an event named changed, unless "event" names
// another, with their own number, {"subscribers":3}, by which they spread their requests for what has changed:
//
//	$ curl -d '{"channel": "orders.42"}' http://127.0.0.1:9090/publish
//	{"id":"0dzln3kxtdtb7","subscribers":3}
//
// Publish several messages at once, as an array or as NDJSON (one object a line). If all are valid, they are published
// in this order; otherwise none is:
//
//	$ curl -d '[{"channel": "a", "data": 1}, {"channel": ["b", "c"], "data": 2}]' http://127.0.0.1:9090/publish
//	{"messages":[{"id":"0dzln3kxtdtb7","subscribers":0},{"id":"0dzln3kxtdtb8","subscribers":1}]}
//
// Send a key with a publish that may have to be repeated. The second request gets the first response, and nothing is
// published again:
//
//	$ curl -H 'Idempotency-Key: order-42-arrived' -d 'It has arrived.' 'http://127.0.0.1:9090/publish?channel=orders.42'
//	{"id":"0dzln3kxtdtb9","subscribers":3}
//
// subscribers is the number of connections that the message was queued for. IDs grow from message to message.
//
// List channels with subscribers or history, sorted by name. match is a name, or the beginning of names followed by **.
// limit is 1,000 by default, and "more" means that there are more channels:
//
//	$ curl 'http://127.0.0.1:9090/channels?match=orders.**&limit=10'
//	{"channels":[{"name":"orders.42","subscribers":3,"messages":2,"last_id":"0dzln3kxtdtb6"}]}
//	$ curl http://127.0.0.1:9090/channels/orders.42
//	{"name":"orders.42","subscribers":3,"messages":2,"last_id":"0dzln3kxtdtb6"}
//
// Read the history of a channel, oldest first. To read on, send next as after. gap means that history does not reach
// back to after:
//
//	$ curl 'http://127.0.0.1:9090/channels/orders.42/messages?after=0dzln3kxtdtb4&limit=100'
//	{"messages":[{"id":"0dzln3kxtdtb6","event":"state","data":{"state":"arrived"}}],"next":"0dzln3kxtdtb8"}
//
// Get the ID after which a page resumes that shows the app's present state:
//
//	$ curl 'http://127.0.0.1:9090/position?channel=orders.42'
//	{"last_id":"0dzln3kxtdtb6"}
//
// List the users of a channel whose rule has presence:
//
//	$ curl http://127.0.0.1:9090/channels/orders.42/users
//	{"users":[{"user":"anna","connections":2}],"total":1}
//
// Subscribe a user's connections, or one connection, to channels, or unsubscribe them:
//
//	$ curl -d '{"user": "anna", "channel": ["orders.42", "orders.43"]}' http://127.0.0.1:9090/subscribe
//	{"subscribed":2}
//	$ curl -d '{"user": "anna", "channel": "orders.42"}' http://127.0.0.1:9090/unsubscribe
//	{"unsubscribed":2}
//
// For operations:
//
//	$ curl http://127.0.0.1:9090/healthz
//	ok
//	$ curl http://127.0.0.1:9090/readyz
//	ready
//	$ curl http://127.0.0.1:9090/metrics
//
// For the command "holdfast doctor", whose requests are admitted by a secret that these requests begin and end:
//
//	POST /doctor    GET /doctor/{secret}    POST /doctor/{secret}/publish    POST /doctor/{secret}/end
//
// For people: http://127.0.0.1:9090/ in a browser, which shows the page of package page. Its script uses
//
//	GET /page/live    GET /page/channels…    POST /page/publish
//
// With hooks.token set, everything but /healthz needs it:
//
//	$ curl -H "Authorization: Bearer $TOKEN" -d hello 'http://127.0.0.1:9090/publish?channel=news'
//
// # What is refused
//
// Every refusal is {"error":"…"}, which says what is wrong and what to change. It publishes nothing, except the 503
// whose text says that the message is published. The order of the checks is:
//
//	403  Host is not localhost, a loopback address or one of hooks.hosts (on a unix socket, any Host is allowed):
//	     a web page whose name points here (DNS rebinding) is refused. GET /healthz, /readyz and /metrics
//	     may also have any IP address as Host, or in HTTP/1.0 none, as probes and scrapers send them
//	403  Origin or Sec-Fetch-Site: only browsers send them, and browsers do not publish (CSRF). Somebody who types
//	     an address, or follows a link of the page for people, may GET; and its script may use what is below /page
//	401  hooks.token is set, and the token is missing or wrong
//	404  no such path            405  wrong method; Allow names the right ones
//	413  body over hooks.max_body
//	415  Content-Encoding
//	400  bad channel, event, parameter or JSON, or no rule for the channel under "channels"
//	422  the idempotency key was used for another publish
//	503  subscribers are too far behind: too much is accepted and not yet delivered; or push.history_file cannot be
//	     written. If the error says that the message is published, subscribers get it, and it may be gone after a restart
//
// A listener that other machines can reach does not start without a token; see [CheckBind].
package hooks
