package http1

// notTrailers are fields that are valid only in a head (RFC 9110 §6.5.1): for framing, routing, authentication,
// caching, and the kind of content. A recipient that merged them into the head would act on them too late, or twice.
var notTrailers = NewNameSet(
	"transfer-encoding", "content-length", "host", "connection", "keep-alive", "proxy-connection", "upgrade", "te", "trailer",
	"cache-control", "expect", "max-forwards", "pragma", "range", "content-encoding", "content-type", "content-range",
	"content-location", "content-disposition", "authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate",
	"authentication-info", "proxy-authentication-info", "persistent-auth", "cookie", "set-cookie", "set-cookie2", "age",
	"expires", "date", "location", "refresh", "retry-after", "vary", "warning", "status", "forwarded", "x-real-ip",
	"strict-transport-security", "content-security-policy", "clear-site-data",
)

// mayBeTrailer reports whether a field of this name may follow a body.
func mayBeTrailer(name []byte) bool {
	if notTrailers.Has(name) {
		return false
	}
	for _, prefix := range [...]string{"x-forwarded-", "x-accel-", "access-control-"} {
		if _, ok := CutPrefixFold(name, prefix); ok {
			return false
		}
	}
	return true
}

// trailerLine checks a trailer and keeps it if it may be one. The empty line is the end.
func (b *Body) trailerLine(line []byte) error {
	if len(line) == 0 {
		b.Done = true
		return nil
	}
	if line[0] == ' ' || line[0] == '\t' {
		return ErrTrailer // a folded line
	}
	f, fault := ParseField(line)
	if b.left += int64(len(line) + len("\r\n")); fault != "" || b.left > maxTrailer { // dropped ones count, too, so that trailers have an end
		return ErrTrailer
	}
	if !mayBeTrailer(f.Name) {
		b.odd |= ForbiddenTrailer
		return nil
	}
	b.trailers = AppendField(b.trailers, f.Name, f.Value)
	return nil
}

// Trailers returns the trailers that may be forwarded, as lines, each with its CRLF.
func (b *Body) Trailers() []byte { return b.trailers }
