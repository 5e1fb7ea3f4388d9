package inject

import (
	"bytes"

	"holdfast/internal/http1"
)

// Reason is why a page gets no tag, as it is logged and counted. Empty: there is none.
type Reason string

const (
	Method      Reason = "method"       // neither GET nor HEAD
	Script      Reason = "script"       // requested by a script, or as a part of a page
	Status      Reason = "status"       // not 200
	Type        Reason = "type"         // neither HTML nor XHTML
	Charset     Reason = "charset"      // not known as a superset of ASCII
	Encoding    Reason = "encoding"     // compressed, but not by gzip alone
	Download    Reason = "download"     // Content-Disposition: attachment
	Range       Reason = "range"        // a part of a page
	NoTransform Reason = "no_transform" // Cache-Control forbids changes
	Policy      Reason = "policy"       // Content-Security-Policy or Integrity-Policy forbids the script
	Fragment    Reason = "fragment"     // nothing says that this is a whole page
	NoHead      Reason = "no_head"      // no place for the tag where the scan looks
	Present     Reason = "present"      // the tag is there already
)

// Origin is where the client has the page from, by which a policy is read.
type Origin struct {
	Scheme string // http or https
	Host   string // with a port, if the client's Host has one
}

// Decide returns the filter for the body of a response to a request that Request has let through, or why it passes as it
// is. The head is not changed yet: Filter.Adjust does.
func (r *Rule) Decide(a *http1.Answer, o Origin) (*Filter, Reason) {
	if a.Status != 200 {
		return nil, Status
	}
	kind, why := typeOf(a.Fields)
	if why != "" {
		return nil, why
	}
	zipped, why := encodingOf(a.Fields)
	if why != "" {
		return nil, why
	}
	for i := range a.Fields {
		switch f := &a.Fields[i]; {
		case f.Drop:
		case http1.EqualFold(f.Name, "content-disposition"):
			how, _, _ := bytes.Cut(f.Value, []byte(";"))
			if how = http1.TrimOWS(how); len(how) > 0 && !http1.EqualFold(how, "inline") {
				return nil, Download // RFC 6266 §4.2: an unknown type is an attachment
			}
		case http1.EqualFold(f.Name, "content-range"):
			return nil, Range
		case http1.EqualFold(f.Name, "cache-control") && http1.HasToken(f.Value, "no-transform"):
			return nil, NoTransform
		case http1.EqualFold(f.Name, "integrity-policy") && wantsIntegrity(f.Value):
			return nil, Policy
		}
	}
	nonce, ok := r.allowed(a.Fields, o)
	if !ok {
		return nil, Policy
	}
	f := &Filter{rule: r, nonce: nonce, scan: scanner{xhtml: kind == xhtml, src: r.path}}
	if zipped {
		f.zip = &gunzip{}
	}
	return f, ""
}

type mediaType uint8

const (
	html mediaType = iota
	xhtml
)

// typeOf reads Content-Type. Without a charset the page names its own, which browsers look for in ASCII.
func typeOf(fields []http1.Field) (kind mediaType, why Reason) {
	values := http1.AppendValues(nil, fields, "content-type")
	if len(values) != 1 {
		return html, Type
	}
	name, params, _ := bytes.Cut(values[0], []byte(";"))
	switch name = http1.TrimOWS(name); {
	case http1.EqualFold(name, "text/html"):
	case http1.EqualFold(name, "application/xhtml+xml"):
		kind = xhtml
	default:
		return html, Type
	}
	for param := range bytes.SplitSeq(params, []byte(";")) {
		name, value, _ := bytes.Cut(param, []byte("="))
		if http1.EqualFold(http1.TrimOWS(name), "charset") && !isASCII(bytes.Trim(value, " \t\"'")) {
			return kind, Charset
		}
	}
	return kind, ""
}

// supersets are beginnings of the names of charsets in which the bytes of tags are those of ASCII, and no others are.
var supersets = []string{
	"utf-8", "utf8", "us-ascii", "ascii", "iso-8859", "iso8859", "iso_8859", "latin", "l1", "windows-", "cp125",
	"x-cp125", "koi8", "macintosh", "x-mac-", "tis-620", "gb", "x-gbk", "big5", "euc-", "x-euc-", "shift_jis", "shift-jis",
	"sjis", "x-sjis", "ms_kanji", "ks_c_5601",
}

// isASCII reports whether a charset is known as a superset of ASCII; no name at all is that of one.
func isASCII(charset []byte) bool {
	for _, s := range supersets {
		if _, ok := http1.CutPrefixFold(charset, s); ok {
			return true
		}
	}
	return len(charset) == 0
}

// encodingOf reads Content-Encoding.
func encodingOf(fields []http1.Field) (zipped bool, why Reason) {
	for _, value := range http1.AppendValues(nil, fields, "content-encoding") {
		for coding := range bytes.SplitSeq(value, []byte(",")) {
			switch coding = http1.TrimOWS(coding); {
			case len(coding) == 0 || http1.EqualFold(coding, "identity"):
			case !zipped && (http1.EqualFold(coding, "gzip") || http1.EqualFold(coding, "x-gzip")):
				zipped = true
			default:
				return false, Encoding
			}
		}
	}
	return zipped, ""
}
