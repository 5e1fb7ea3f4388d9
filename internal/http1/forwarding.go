package http1

// Forwarding has a request's forwarding fields, by the indices of ForwardingNames. Each value is joined from all its
// lines.
type Forwarding [len(ForwardingNames)][]byte

// ForwardingNames are the fields in which proxies describe the client, in lower case.
var ForwardingNames = [...]string{"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip", "forwarded"}

// The indices of ForwardingNames.
const (
	ForwardedFor = iota
	ForwardedProto
	ForwardedHost
	ForwardedPort
	RealIP
	Forwarded // RFC 7239
)
