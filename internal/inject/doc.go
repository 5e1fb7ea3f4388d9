// Package inject adds one script tag to HTML pages while they pass, so that a page polls by way of the shim
// (upgrade/client/shim.js) without its templates being changed. It does no I/O, starts no goroutine that runs by itself,
// and may be called on an event loop: a page is never in memory as a whole.
//
//	request head ── Rule.Request ── why not
//	      │ asks the app for identity
//	response head ── Rule.Decide ── why not: untouched
//	      │
//	   Filter ── Append ... Append(last) ── Close
//	      └───── Adjust: the fields, once the first piece of the body went through Append
//
// # Where the tag stands
//
// Behind <head>, and behind the <meta> elements that follow it directly: a declaration of the charset counts in the first
// 1,024 bytes only, and X-UA-Compatible only before scripts. A <meta> with another http-equiv, such as
// Content-Security-Policy, stays behind the tag, so a policy in the page does not govern it. HTML lets a page leave <head>
// out: then the tag comes before the first element, or text, that a head would end at or contain, and every parser puts
// it in the head all the same. That needs a doctype, <html> or <body> as evidence that this is a page and no fragment
// which a script has requested. In XHTML the tag follows <head> directly and has its prefix; there is no implied head.
//
// The scan gives up, and the page stays as it is, where there is no such place in the first 64 kB, and where our tag
// stands there already. An entity that is no page is left within its first bytes. Nothing is kept back but a tag that has
// not come completely, 1 kB at most.
//
// # What the caller does
//
//   - Before the request goes to the app: Request. It makes Accept-Encoding identity and gives If-None-Match the entity tags
//     that the app knows.
//   - With the response's head: Decide. The entity tag of a 304 has to be the page's, if that is what the client has. HEAD has
//     the head of Adjust, without a length.
//   - Let the first piece of the body that came with the head go through Append before the head is written, an empty one
//     if none came. Then Adjust(a, Length(a.Length)) sets the head's fields. The client gets the length if that is known,
//     as it is if the place was in that piece, and chunks (HTTP/1.0: the connection's end) otherwise. How the app's
//     body is framed must be read from the head before.
//   - Every further piece goes through Append, the last one with last set; while More, Append once more with no bytes.
//     Through says that the rest can pass as it comes. An error is a body that can't be finished: cut the client off.
//   - Close, however the exchange ends.
//
// A reason why not is worth a line in the log, once for each rule and reason, and a count; Policy above all.
package inject
