package inject

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// place stands in the pages below where the tag is to go.
const place = "‸"

const xmlns = ` xmlns="http://www.w3.org/1999/xhtml"`

// ours is the tag in the pages.
const ours = `<script src="/_push/shim.js"></script>`

// Kinds of pages, with the place, and why there is none.
var pages = []struct {
	name string
	page string
	why  Reason
}{
	{"plain", "<!DOCTYPE html>\n<html>\n<head>‸<title>x</title></head><body><p>y</body></html>", ""},
	{"upper case", "<HTML><HEAD>‸<TITLE>x</TITLE></HEAD>", ""},
	{"blanks", "<html>\n<head>\r\n\t ‸<title>", ""},
	{"attributes", "<head profile=\"a>b\" x='>' y=a\"b z/ w = '\"' data-a=>‸<title>", ""},
	{"slash", "<head/>‸<title>", ""},
	{"no closing head", "<html><head>‸<link rel=x><p>y", ""},
	{"empty head", "<html><head>‸</head><body>", ""},
	{"text in the head", "<html><head> ‸x", ""},
	{"a script already", "<html><head>‸<script>document.write('<head>')</script></head>", ""},
	{"byte order mark", "\xef\xbb\xbf<!doctype html><head>‸<title>", ""},
	{"header is no head", "<!doctype html><html>‸<header><head>", ""},
	{"header and no page", "<header><head>", Fragment},

	{"comment", "<!-- <head> --><html><!--<head>--><head><!-- <meta> -->‸<title>", ""},
	{"comment cut short", "<!--><head>‸<title>", ""},
	{"comment cut short by a dash", "<!---><head>‸<title>", ""},
	{"comment with dashes", "<!-----><!-- - -- --- <head> ---><head>‸<title>", ""},
	{"comment with a bang", "<!--!> <head> --!><head>‸<title>", ""},
	{"comment in a comment", "<!--<!-- <head> --><head>‸<title>", ""},
	{"comment without end", "<html><!-- <head><title>x</title>", NoHead},
	{"no comment", "<!- <head><head>‸<title>", ""},
	{"conditional comments", "<!doctype html>\n<!--[if lt IE 7]> <html class=\"no-js lt-ie9\"> <![endif]-->\n" +
		"<!--[if gt IE 8]><!--> <html class=\"no-js\"> <!--<![endif]-->\n<head>\n<!--[if IE]><meta name=x><![endif]-->\n‸<link>", ""},
	{"downlevel-revealed", "<html><![if !IE]><head><![endif]>‸<title>", ""},
	{"processing instruction", "<?xml version='1.0' encoding='iso-8859-1'?><!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\"\n" +
		"\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\"><html" + xmlns + "><head>‸<title>", ""},
	{"doctype only", "<!doctype html>‸<title>x</title>", ""},
	{"doctype with a subset", "<!DOCTYPE html [<!ENTITY a \"b\">‸]><head>", ""}, // as browsers have it
	{"no doctype", "<!doctor><head>‸<title>", ""},
	{"cut doctype", "<!doc><head>‸<title>", ""},

	{"charset first", "<html><head><meta charset=utf-8>\n‸<title>", ""},
	{"boilerplate", "<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\">\n<META name=viewport content='a>b'/>\n" +
		"<!-- these come first -->\n‸<title>", ""},
	{"old charset", "<head><meta content='text/html; charset=windows-1251' HTTP-EQUIV=\" Content-Type \">‸<title>", ""},
	{"policy in the page", "<head><meta charset=utf-8>‸<meta http-equiv=Content-Security-Policy content=\"script-src 'none'\">", ""},
	{"disguised policy", "<head>‸<meta http-equiv=\"Content&#45;Security-Policy\" content=x><meta charset=x>", ""},
	{"refresh", "<head>‸<meta http-equiv=refresh content=0>", ""},
	{"two http-equivs", "<head><meta http-equiv=pragma http-equiv=Content-Security-Policy>‸<title>", ""},
	{"odd attributes", "<head><meta =x a= b=/ / c>‸<title>", ""},
	{"meta is all", "<head><meta charset=utf-8>", NoHead},
	{"long meta", "<head>‸<meta name=x content='" + strings.Repeat("x", 2*maxToken) + "'><meta charset=x>", ""},
	{"metadata", "<head>‸<metadata><title>", ""},

	{"no head", "<!doctype html><html lang=en>‸<body><head>", ""},
	{"no head, text", "<!doctype html>\n‸Hello", ""},
	{"no head, meta", "<!doctype html><meta charset=utf-8>‸<title>x</title>", ""},
	{"no head, script", "<html>‸<script>x</script>", ""},
	{"only body", "‸<BODY onload='x'>", ""},
	{"frameset", "<html>‸<frameset>", ""},
	{"closed head", "<html>‸</head><title>", ""},
	{"stray end tags", "<html></p a='>'></header></></ head><head></title>‸<title>", ""},
	{"end tag of nothing", "<html>‸</br><title>", ""},
	{"end tag without a page", "</div><p>", Fragment},
	{"stray <", "<html>‸< head>", ""},
	{"long name", "<html>‸<" + strings.Repeat("x", 2*maxToken) + " >", ""},
	{"second html", "<html><html class=x><head>‸<html><title>", ""},
	{"second head", "<html><head>‸<head><title>", ""},

	{"fragment", "<div><head></head></div>", Fragment},
	{"table row", "\n<tr><td>x</td></tr>", Fragment},
	{"fragment with a script", "<script>x</script><p>", Fragment},
	{"fragment of pjax", "<title>x</title><p>", Fragment},
	{"fragment with a comment", "<!-- x --><p>", Fragment},
	{"JSON", `{"html": "<head><title>"}`, Fragment},
	{"text", "Hello <head>", Fragment},
	{"nothing", "", Fragment},
	{"blanks only", " \n", Fragment},
	{"a broken mark", "\xef\xbb<head>", Fragment},
	{"UTF-16", "\xff\xfe<\x00h\x00e\x00a\x00d\x00>\x00", Fragment},
	{"UTF-16, big end first", "\xfe\xff\x00<\x00h\x00e\x00a\x00d\x00>", Fragment},
	{"UTF-16 without a mark", "<\x00h\x00e\x00a\x00d\x00>\x00", Fragment},
	{"cut in a tag", "<html><head", NoHead},
	{"cut in a name", "<!doctype html><he", NoHead},
	{"far away", "<html><!--" + strings.Repeat("x", maxScan) + "--><head><title>", NoHead},
	{"just near enough", "<!--" + strings.Repeat("x", maxScan-len("<!----><head><title>")) + "--><head>‸<title>", ""},
	{"one too far", "<!--" + strings.Repeat("x", maxScan-len("<!----><head><title>")+1) + "--><head><title>", NoHead},

	{"ours is there", "<html><head>" + ours + "<title>", Present},
	{"ours is there, with more", "<html><head><meta charset=x><script nonce=x data-y='>' src=/_push/shim.js></script>", Present},
	{"ours is there, no head", "<!doctype html>" + ours + "<body>", Present},
	{"another's", "<head>‸<script src=\"/_push/shim.js.js\"></script>", ""},
}

// Kinds of pages in XHTML.
var xhtmlPages = []struct {
	name   string
	page   string
	prefix string
	why    Reason
}{
	{"plain", "<?xml version=\"1.0\"?>\n<!DOCTYPE html>\n<html" + xmlns + "><head>‸<title/></head>", "", ""},
	{"attributes", "<html" + xmlns + "><head id=\"a>b\">‸<meta charset='utf-8'/><title/></head>", "", ""},
	{"prefix", "<h:html xmlns:h=\"http://www.w3.org/1999/xhtml\"><h:head\n>‸<h:title/></h:head>", "h:", ""},
	{"other prefix", "<h:html xmlns:h=\"x\"><head><title/>", "h:", NoHead},
	{"public doctype", "<!DOCTYPE html PUBLIC \"-//W3C//DTD>\" 'a>'><html" + xmlns + "><head>‸</head>", "", ""},
	{"subset", "<!DOCTYPE html [<!ENTITY x \"<head>\">]><html" + xmlns + "><head></head>", "", NoHead},
	{"comment", "<!-- --!> <head> - -- --><html><head><!-->x--> ‸<title/>", "", ""},
	{"instruction", "<?php > <head> ?x?><html><head><?a?>‸<title/>", "", ""},
	{"CDATA", "<html><![CDATA[<head>]]>", "", NoHead},
	{"CDATA in the head", "<html><head>‸<![CDATA[ <x> ]]></head>", "", ""},
	{"upper case", "<HTML><HEAD><title/>", "", Fragment},
	{"upper case head", "<html><HEAD><title/>", "", NoHead},
	{"empty head", "<html><head/><body/>", "", NoHead},
	{"empty page", "<html/><head>", "", NoHead},
	{"no head", "<html><body><head>", "", NoHead},
	{"SVG", "<svg><head>", "", Fragment},
	{"text", "<html>x<head>", "", NoHead},
	{"script", "<html><head>‸<script src='a'/>", "", ""},
	{"ours is there", "<html><head>" + ours, "", Present},
	{"ours is there, with a prefix", "<x:html><x:head><x:script src='/_push/shim.js'/>", "x:", Present},
	{"not a script of ours", "<x:html><x:head>‸<script src='/_push/shim.js'/>", "x:", ""},
	{"no name", "<html><_head><:head>", "", NoHead},
}

// filter returns a filter of uncompressed pages.
func filter(xml bool) *Filter {
	return &Filter{rule: NewRule(shim), scan: scanner{xhtml: xml, src: shim}}
}

// run lets pieces through f and returns what comes out.
func run(t testing.TB, f *Filter, pieces ...[]byte) []byte {
	t.Helper()
	defer f.Close()
	var out []byte
	in := 0
	for i, p := range pieces {
		var err error
		owned := bytes.Clone(p)
		if out, err = f.Append(out, owned, i == len(pieces)-1); err != nil {
			t.Fatal(err)
		}
		for i := range owned {
			owned[i] = '#' // the caller reads the next piece into the same bytes
		}
		for f.More() {
			if out, err = f.Append(out, nil, i == len(pieces)-1); err != nil {
				t.Fatal(err)
			}
		}
		if in += len(p); f.zip == nil && len(out) < in-maxToken {
			t.Fatalf("of %d bytes %d are kept back", in, in-len(out))
		}
	}
	return out
}

// want returns what a page from the tables is to become, and the page.
func want(page, prefix string) (in, out []byte) {
	tag := NewRule(shim).tag([]byte(prefix), "")
	return []byte(strings.Replace(page, place, "", 1)), []byte(strings.Replace(page, place, string(tag), 1))
}

// each calls f with every page of the tables.
func each(t *testing.T, f func(t *testing.T, xml bool, in, out []byte, why Reason)) {
	for _, p := range pages {
		t.Run(p.name, func(t *testing.T) {
			in, out := want(p.page, "")
			f(t, false, in, out, p.why)
		})
	}
	for _, p := range xhtmlPages {
		t.Run("XHTML "+p.name, func(t *testing.T) {
			in, out := want(p.page, p.prefix)
			f(t, true, in, out, p.why)
		})
	}
}

func TestPages(t *testing.T) {
	each(t, func(t *testing.T, xml bool, in, out []byte, why Reason) {
		f := filter(xml)
		if got := run(t, f, in); !bytes.Equal(got, out) {
			t.Errorf("%.300q\nbecomes %.300q,\nwant    %.300q", in, got, out)
		}
		if f.Reason() != why || f.added != len(out)-len(in) {
			t.Errorf("reason %q, %d bytes added; want %q, %d", f.Reason(), f.added, why, len(out)-len(in))
		}
	})
}

// Every page, cut in two at every byte, and into single bytes.
func TestPagesCut(t *testing.T) {
	each(t, func(t *testing.T, xml bool, in, out []byte, why Reason) {
		for i := range in {
			if len(in) > maxScan/2 && i > 300 && i < len(in)-300 {
				continue
			}
			f := filter(xml)
			if got := run(t, f, in[:i], in[i:]); !bytes.Equal(got, out) || f.Reason() != why {
				t.Fatalf("cut at %d: %.300q (%q), want %.300q (%q)", i, got, f.Reason(), out, why)
			}
		}
		f := filter(xml)
		if got := run(t, f, append(slices.Collect(slices.Chunk(in, 1)), nil)...); !bytes.Equal(got, out) || f.Reason() != why {
			t.Errorf("byte for byte: %.300q (%q), want %.300q (%q)", got, f.Reason(), out, why)
		}
	})
}

// snip cuts p into random pieces, some of them empty.
func snip(p []byte, seed uint64) (pieces [][]byte) {
	r := rand.New(rand.NewPCG(seed, 0))
	for len(p) > 0 {
		n := min(r.IntN(1+r.IntN(40)), len(p))
		pieces, p = append(pieces, p[:n]), p[n:]
	}
	return append(pieces, nil)
}

// TestPieces makes pages of what means something to the scan, and wants the pieces to give the same as the whole.
func TestPieces(t *testing.T) {
	words := []string{
		"<html", "<head", "<header", "<meta", "<script", "<body", "</head", ">", "/>", " ", "\n", "=", "'", "\"", "/", "<!--", "-->", "--", "-", "!",
		"<!doctype html", "<![CDATA[", "]]>", "<?", "?>", "[", "x", " charset=utf-8", " http-equiv=pragma", " src=/_push/shim.js", "<", "<!", ours, "<h:html>", "<h:head",
		strings.Repeat("y", 300), "\xef\xbb\xbf",
	}
	placed := 0
	for seed := range uint64(10000) {
		r := rand.New(rand.NewPCG(seed, 1))
		page := []byte([]string{"", "<html>", "<head>", "<!doctype html>"}[r.IntN(4)])
		for range r.IntN(30) {
			page = append(page, words[r.IntN(len(words))]...)
		}
		for _, xml := range []bool{false, true} {
			if check(t, page, seed, xml); t.Failed() {
				t.Fatalf("seed %d", seed)
			}
			f := filter(xml)
			run(t, f, page)
			if f.added > 0 {
				placed++
			}
		}
	}
	if placed < 1000 {
		t.Errorf("only %d pages got a tag", placed)
	}
}

// check wants a page to be as before but for at most one tag, and the same in pieces as whole.
func check(t *testing.T, page []byte, seed uint64, xml bool) {
	t.Helper()
	whole := filter(xml)
	got := run(t, whole, page)
	if whole.added > 0 {
		tag, found := whole.rule.tag(whole.scan.prefix, ""), false
		for at := range got { // the page may have one of its own
			found = found || bytes.HasPrefix(got[at:], tag) && bytes.Equal(slices.Concat(got[:at], got[at+len(tag):]), page)
		}
		if !found {
			t.Errorf("%q becomes %q", page, got)
		}
	} else if !bytes.Equal(got, page) {
		t.Errorf("%q becomes %q, without a tag", page, got)
	}
	if added := whole.added > 0; added == (whole.Reason() != "") {
		t.Errorf("%q: added: %v, reason %q", page, added, whole.Reason())
	}
	f := filter(xml)
	if pieces := run(t, f, snip(page, seed)...); !bytes.Equal(pieces, got) || f.Reason() != whole.Reason() {
		t.Errorf("%q: in pieces %q (%s), whole %q (%s)", page, pieces, f.Reason(), got, whole.Reason())
	}
}

func FuzzPage(f *testing.F) {
	for i, p := range pages {
		f.Add([]byte(strings.Replace(p.page, place, "", 1)), uint64(i), false)
	}
	for i, p := range xhtmlPages {
		f.Add([]byte(strings.Replace(p.page, place, "", 1)), uint64(i), true)
	}
	f.Fuzz(check)
}

// The fields of the head, by what is known when it is sent.
func TestAdjust(t *testing.T) {
	const page = "<html><head>‸<title>x</title></head></html>"
	in, out := want(page, "")
	lines := []string{
		"Content-Type: text/html", "ETag: \"a\"", "Content-MD5: x", "Digest: x", "Content-Digest: x", "Repr-Digest: x",
		"Accept-Ranges: bytes", "Last-Modified: y", "Content-Length: 42",
	}
	r := NewRule(shim)
	for _, c := range []struct {
		name  string
		first []byte
		last  bool
		want  string
	}{
		{"all", in, true, "Content-Type: text/html|ETag: " + string(r.weaken([]byte(`"a"`))) + "|Last-Modified: y|Content-Length: 80"},
		{"the place", in[:20], false, "Content-Type: text/html|ETag: " + string(r.weaken([]byte(`"a"`))) + "|Last-Modified: y|Content-Length: 80"},
		{"not the place", in[:10], false, "Content-Type: text/html|ETag: " + string(r.weaken([]byte(`"a"`))) + "|Last-Modified: y"},
		{"nothing", nil, false, "Content-Type: text/html|ETag: " + string(r.weaken([]byte(`"a"`))) + "|Last-Modified: y"},
		{"a fragment", []byte("<p>"), false, strings.Join(lines, "|")},
	} {
		a := response(t, "200 OK", lines...)
		f, why := r.Decide(a, Origin{"http", "x"})
		if why != "" {
			t.Fatal(why)
		}
		if _, err := f.Append(nil, c.first, c.last); err != nil {
			t.Fatal(err)
		}
		f.Adjust(a, f.Length(a.Length))
		_, fields, _ := strings.Cut(string(a.Append(nil)), "\r\n")
		if got := strings.ReplaceAll(strings.TrimSuffix(fields, "\r\n"), "\r\n", "|"); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if len(in) != 42 || len(out) != 80 {
		t.Errorf("the page has %d bytes, %d with the tag", len(in), len(out))
	}
}

// The nonce is the tag's.
func TestNonce(t *testing.T) {
	r := NewRule(shim)
	f, _ := r.Decide(response(t, "200 OK", "Content-Type: text/html", "Content-Security-Policy: script-src 'nonce-r4nd'"), Origin{"http", "x"})
	if got, want := string(run(t, f, []byte("<head><title>"))), `<head><script src="/_push/shim.js" nonce="r4nd"></script><title>`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func BenchmarkPage(b *testing.B) {
	page := []byte("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>x</title></head>" + strings.Repeat("<p>x", 4000))
	r := NewRule(shim)
	a := response(b, "200 OK", "Content-Type: text/html; charset=utf-8", "Content-Length: 16000")
	var dst []byte
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		f, _ := r.Decide(a, Origin{"http", "x"})
		dst, _ = f.Append(dst[:0], page, true)
	}
}
