// Package page is the page of the API listener for people: what Holdfast holds, refuses and logs while they look.
//
// A browser loads three static files, which have nothing of this process in them. Their script reads [Page.Live], a stream
// of server-sent events with one state a second, and the endpoints of the API below [Prefix]. It sends the token in a
// header that no other page can send without being asked first (CORS), and [Check] decides which requests of browsers are
// those of this script.
//
// Nothing is collected while nobody looks. With several viewers it is collected once, and rendered once.
//
// [Recorder] keeps the last lines of the server log for it.
package page
