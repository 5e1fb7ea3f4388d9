// Package demo is the app of "holdfast demo": one parcel, and a page that follows it in six ways, from polling to push.
//
// It stands for a legacy app behind Holdfast, so it is an ordinary net/http server that knows requests and answers, and
// whose status is slow on purpose. The push is one HTTP POST to the hooks listener at the moment the parcel moves; see
// [App.publish]. Each way is a pane of the page with a path of its own, for which [Rules] has the configuration.
//
//	GET  /                         the page
//	GET  /{pane}/status            where the parcel is, after StatusDelay
//	POST /parcels/HF-2041/move     moves it, to the next state or to that in the form field "status"
//
// There is one parcel for everybody, so that a curl line moves it in every open page. What is counted is the answers to
// all pages together, as what one poll brings is for all of them. Each answer says what all panes have had until then,
// itself included, and how long the app was busy with them. So the page needs no request of its own to show the costs.
package demo
