// Package appcall has the requests that Holdfast sends to the app.
//
// # Authorization
//
// Before a client may subscribe to channels that are not public, [Authorizer] requests, as the client would:
//
//	GET /push/authorize?channel=orders.42&channel=orders HTTP/1.1
//	Host, Cookie, Authorization, User-Agent, Accept-Language: the client's own
//	Accept: application/json
//	X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Port, X-Real-IP
//
// 2xx allows; 401 and 403 deny, and so does a redirect, which leads to a login as a rule. Any other response, an HTML
// page with status 200 too, and none in time is a failure, and the client gets 503. A 2xx response may carry one JSON
// object; a key that is not known is a failure, as a typo must not allow more than was meant:
//
//	{"channels": ["orders.42"], "user": "anna", "expires": 3600}
//
// # Client messages
//
// [MessageForwarder] posts what a client sends over its WebSocket, with the client's own cookies and signed. The
// response can be sent back to the client.
//
// # Watched URLs
//
// [Getter] gets paths of the app as Holdfast itself, with the fields that the configuration names. It sends the validators
// of the response before (ETag, or else Last-Modified), follows no redirect and keeps no cookie.
//
// # Events
//
// [EventSender] sends events in batches, and [Poster] posts and signs them:
//
//	POST /push/events HTTP/1.1
//	Content-Type: application/json
//	Holdfast-Signature: t=1772600767,v1=5f0c…
//
//	{"events":[{"id":"0dzln3kxtdtb4","type":"online","at":"2026-03-04T05:06:07.089Z","user":"anna"}]}
//
// 2xx takes a batch; after any other response, or none, it is sent again.
package appcall
