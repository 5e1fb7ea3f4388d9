// Package demo is the app of "holdfast demo": one parcel, and a page that follows it twice, once by polling
// and once by push.
//
// It stands for a legacy app behind Holdfast, so it is an ordinary net/http server that knows requests,
// answers and cookie sessions, and whose /status is slow on purpose. The push is one HTTP POST to the hooks
// listener at the moment the parcel moves; see [App.publish].
//
//	GET  /                         the page; starts a session if there is none
//	GET  /status[?pane=push]       where the parcel is, after StatusDelay; 401 without a session
//	POST /parcels/HF-2041/move     moves it, to the next state or to that in the form field "status"
//
// There is one parcel for everybody, so that a curl line moves it in every open page. Counts belong to a
// session, and to a pane in it: an answer of /status says how many this pane has had, itself included, and
// how long the app was busy with them. So the page needs no request of its own to show what it costs.
package demo
