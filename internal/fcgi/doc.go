// Package fcgi is the client's half of FastCGI 1.0 in the role of the responder: what is written to php-fpm for a
// request, and what is read back. It holds no connection and never blocks; its caller passes the bytes of the socket in
// and out, in pieces of any size.
//
//	Request.Append   BEGIN_REQUEST and the list of parameters    ─►
//	Stdin            headers and padding around the body         ─►
//	                                                             ◄─  Reader: stdout in place, stderr, the end
//	                                                                 Head: the CGI head at the start of stdout
//
// One request at a time is on a connection, so records of any other id are an error. The caller may give each request
// of a kept connection another id: a record that belongs to the one before is then refused instead of being sent to the
// wrong client.
//
// A response is whole only if END_REQUEST said so. The end of the connection before that, and an END_REQUEST with a
// protocol status other than "complete", mean that it was cut.
package fcgi
