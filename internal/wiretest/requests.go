package wiretest

// Request is the raw bytes of one, and the answer that they must get.
type Request struct {
	Name, Sent string
	Status     int
}

// RefusedRequests has what RFC 9112 calls invalid, or two parsers could read two ways. No app may be sent
// anything of it.
func RefusedRequests() []Request { return append(refusedHeads(), refusedChunks()...) }

func refusedHeads() []Request {
	const host = "Host: x\r\n"
	return []Request{
		{"bare LF", "GET / HTTP/1.1\nHost: x\n\n", 400},
		{"bare LF in a header line", "GET / HTTP/1.1\r\nA: b\n" + host + "\r\n", 400},
		{"bare CR in a value", "GET / HTTP/1.1\r\n" + host + "A: b\rc\r\n\r\n", 400},
		{"NUL in a value", "GET / HTTP/1.1\r\n" + host + "A: b\x00c\r\n\r\n", 400},
		{"three empty lines first", "\r\n\r\n\r\nGET / HTTP/1.1\r\n" + host + "\r\n", 400},
		{"an escaped slash in Host", "GET / HTTP/1.1\r\nHost: a%2fb\r\n\r\n", 400},
		{"an escaped at in Host", "GET / HTTP/1.1\r\nHost: a%40b\r\n\r\n", 400},
		{"half an escape in Host", "GET / HTTP/1.1\r\nHost: a%4\r\n\r\n", 400},
		{"a zero byte in Host", "GET / HTTP/1.1\r\nHost: a%00\r\n\r\n", 400},
		{"bare CR before the request line", "\rXGET / HTTP/1.1\r\n" + host + "\r\n", 400},
		{"bare CR and nothing else", "\r\r\n\r\n", 400},
		{"folded line", "GET / HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n", 400},
		{"folded Transfer-Encoding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400},
		{"space before colon", "GET / HTTP/1.1\r\n" + host + "A : b\r\n\r\n", 400},
		{"space in a name", "GET / HTTP/1.1\r\n" + host + "A b: c\r\n\r\n", 400},
		{"no name", "GET / HTTP/1.1\r\n" + host + ": c\r\n\r\n", 400},
		{"no colon", "GET / HTTP/1.1\r\n" + host + "abc\r\n\r\n", 400},
		{"length and chunks", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"length twice", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
		{"length list", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3, 3\r\n\r\nabc", 400},
		{"length signed", "POST / HTTP/1.1\r\n" + host + "Content-Length: +3\r\n\r\nabc", 400},
		{"length empty", "POST / HTTP/1.1\r\n" + host + "Content-Length:\r\n\r\n", 400},
		{"length too long", "POST / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\n", 400},
		{"identity", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: identity\r\n\r\n", 400},
		{"chunked twice", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"gzip, chunked", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		{"chunked with a vertical tab", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400},
		{"chunks in HTTP/1.0", "POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
		{"two Hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
		{"Host with userinfo", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
		{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
		{"Host with a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
		{"target and Host disagree", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400},
		{"target with userinfo", "GET http://u:p@x/ HTTP/1.1\r\n" + host + "\r\n", 400},
		{"other scheme", "GET ftp://x/ HTTP/1.1\r\n" + host + "\r\n", 400},
		{"no slash", "GET a HTTP/1.1\r\n" + host + "\r\n", 400},
		{"fragment", "GET /a#b HTTP/1.1\r\n" + host + "\r\n", 400},
		{"percent sign alone", "GET /100% HTTP/1.1\r\n" + host + "\r\n", 400},
		{"percent sign before other letters", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400},
		{"zero byte", "GET /a%00.php HTTP/1.1\r\n" + host + "\r\n", 400},
		{"tab in the request line", "GET\t/ HTTP/1.1\r\n" + host + "\r\n", 400},
		{"two spaces", "GET  / HTTP/1.1\r\n" + host + "\r\n", 400},
		{"space in the target", "GET /a b HTTP/1.1\r\n" + host + "\r\n", 400},
		{"lower-case version", "GET / http/1.1\r\n" + host + "\r\n", 400},
		{"HTTP/0.9", "GET /\r\n\r\n", 400},
		{"HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		{"CONNECT", "CONNECT x:443 HTTP/1.1\r\n" + host + "\r\n", 405},
		{"TRACE", "TRACE / HTTP/1.1\r\n" + host + "\r\n", 405},
		{"Connection names Content-Length", "POST / HTTP/1.1\r\n" + host + "Connection: Content-Length\r\nContent-Length: 3\r\n\r\nabc", 400},
		{"Connection names Cookie", "GET / HTTP/1.1\r\n" + host + "Connection: cookie\r\nCookie: a=b\r\n\r\n", 400},
		{"two Content-Types", "POST / HTTP/1.1\r\n" + host + "Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n\r\n", 400},
		{"other expectation", "POST / HTTP/1.1\r\n" + host + "Expect: 200-ok\r\nContent-Length: 0\r\n\r\n", 417},
		{"overlong UTF-8 in the target, raw", "GET /\xc0\xafadmin HTTP/1.1\r\n" + host + "\r\n", 400},
	}
}

func refusedChunks() []Request {
	const host = "Host: x\r\n"
	return []Request{
		{"a chunk's size that is none", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n", 400},
		{"a chunk's size with a sign", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n", 400},
		{"a chunk's size with 0x", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400},
		{"a chunk's size with an underscore", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0_3\r\nabc\r\n0\r\n\r\n", 400},
		{"a chunk's size beyond 64 bits", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n", 400},
		{"a chunk's size that ends in a bare LF", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400},
		{"a bare semicolon behind a size", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3;\r\nabc\r\n0\r\n\r\n", 400},
		{"an extension that is no token", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3;bad[=x\r\nabc\r\n0\r\n\r\n", 400},
		{"two sizes", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0 3\r\nabc\r\n0\r\n\r\n", 400},
		{"a space before a size", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n", 400},
		{"a space behind a size", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n", 400},
		{"an extension without a value", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3;a=\r\nabc\r\n0\r\n\r\n", 400},
		{"an open quote in an extension", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3;a=\"b\r\nabc\r\n0\r\n\r\n", 400},
		{"a quoted name of an extension", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3;\"a\"\r\nabc\r\n0\r\n\r\n", 400},
		{"a trailer that is a status line", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", 400},
		{"a trailer without a colon", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\njunk junk\r\n\r\n", 400},
		{"a trailer with a space before its colon", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\nA : b\r\n\r\n", 400},
		{"a trailer with a control byte", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\x01\r\n\r\n", 400},
		{"a chunk extension with a bare LF", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n", 400},
		{"a chunk extension with a control byte", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3;a=\x00\r\nabc\r\n0\r\n\r\n", 400},
		{"a chunk with a byte too many", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400},
		{"a chunk that ends in a bare LF", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n", 400},
		{"a chunk that ends in a bare CR", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\rx0\r\n\r\n", 400},
		{"a trailer that is folded", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n A: b\r\n\r\n", 400},
		{"a trailer that ends in a bare LF", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n", 400},
		{"a last line that is a bare LF", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\n", 400},
		{"a last chunk that ends in a bare CR", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\rX", 400},
	}
}

// Passed is a request that is odd and has one meaning: the app is to see one request, with Path.
type Passed struct {
	Name, Sent, Path string
	Choosy           bool // Apache and Tomcat take fewer hosts than RFC 3986 §3.2.2 has, and answer 400 themselves
}

// PassedRequests are let through, with what is odd about them taken out.
func PassedRequests() []Passed {
	const host = "Host: x\r\n"
	return []Passed{
		{"two empty lines first", "\r\n\r\nGET /p0 HTTP/1.1\r\n" + host + "\r\n", "/p0", false},
		{"one empty line first", "\r\nGET /p1 HTTP/1.1\r\n" + host + "\r\n", "/p1", false},
		{"an empty query", "GET /p2? HTTP/1.1\r\n" + host + "\r\n", "/p2?", false},
		{"two slashes and a URL", "GET //p3/x?u=http://y HTTP/1.1\r\n" + host + "\r\n", "//p3/x?u=http://y", false},
		{"an absolute target", "GET http://x/p4?a HTTP/1.1\r\n" + host + "\r\n", "/p4?a", false},
		{"an absolute target of https", "GET https://x/p5 HTTP/1.1\r\n" + host + "\r\n", "/p5", false},
		{"names with underscores", "POST /p6 HTTP/1.1\r\n" + host + "Content_Length: 50\r\nTransfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", "/p6", false},
		{"names with dots", "POST /p7 HTTP/1.1\r\n" + host + "Content.Length: 50\r\nContent-Length: 3\r\n\r\nabc", "/p7", false},
		{"an extension", "POST /p8 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0;c\r\n\r\n", "/p8", false},
		{"trailers", "POST /p10 HTTP/1.1\r\n" + host + "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 50\r\nHost: y\r\n\r\n", "/p10", false},
		{"zeros before a size", "POST /p11 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n000003\r\nabc\r\n00\r\n\r\n", "/p11", false},
		{"a body of GET", "GET /p12 HTTP/1.1\r\n" + host + "Content-Length: 41\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\nA: bcdef", "/p12", false},
		{"a body that looks like chunks", "POST /p13 HTTP/1.1\r\n" + host + "Content-Length: 46\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\nA: bcdef", "/p13", false},
		{"Connection that names a field", "GET /p14 HTTP/1.1\r\n" + host + "Connection: a, b\r\nA: 1\r\nB: 2\r\n\r\n", "/p14", false},
		{"an Upgrade to h2c", "GET /p15 HTTP/1.1\r\n" + host + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n", "/p15", false},
		{"an expectation", "POST /p16 HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "/p16", false},
		{"HTTP/1.0 with keep-alive", "POST /p17 HTTP/1.0\r\n" + host + "Connection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", "/p17", false},
		{"no length and no body", "POST /p18 HTTP/1.1\r\n" + host + "\r\n", "/p18", false},
		{"an option of Connection that folds to Transfer-Encoding", "POST /p20 HTTP/1.1\r\n" + host + "Connection: tran\u017ffer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "/p20", false},
		{"options of Connection that are no tokens", "GET /p21 HTTP/1.1\r\n" + host + "Connection: a b, \"c\", x/y\r\n\r\n", "/p21", false},
		{"a value of an extension in quotes", "POST /p22 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3 ; a = \"b\\\"c;\";d\r\nabc\r\n0\r\n\r\n", "/p22", false},
		{"a Host with an underscore and a tilde", "GET /p23 HTTP/1.1\r\nHost: a_b~c.test:80\r\n\r\n", "/p23", true},
		{"a Host with escapes", "GET /p24 HTTP/1.1\r\nHost: a%C3%A9%2db.test\r\n\r\n", "/p24", true},
		{"two cookies", "GET /p19 HTTP/1.1\r\n" + host + "Cookie: a=b\r\nCookie: c=d\r\n\r\n", "/p19", false},
	}
}

// AdminPaths are spellings of /admin/secret.txt, for some app or other.
func AdminPaths() []string {
	return []string{
		"/admin/secret.txt", "//admin/secret.txt", "/admin//secret.txt", "/./admin/secret.txt", "/x/../admin/secret.txt", "/admin/./secret.txt", "/admin/x/../secret.txt",
		"/%61dmin/secret.txt", "/%61%64%6d%69%6e/secret.txt", "/%2561dmin/secret.txt", "/admin%2fsecret.txt", "/%2fadmin/secret.txt", "/x%2f..%2fadmin/secret.txt",
		"/%2e/admin/secret.txt", "/x/%2e%2e/admin/secret.txt", "/x/%2e%2E/admin/secret.txt", "/x/.%2e/admin/secret.txt", "/x/%252e%252e/admin/secret.txt",
		"/admin%5csecret.txt", "/\\admin\\secret.txt", "/x\\..\\admin\\secret.txt", "/x/..%5cadmin/secret.txt", "/x%5c..%5cadmin%5csecret.txt",
		"/admin;x=y/secret.txt", "/;/admin/secret.txt", "/x/..;/admin/secret.txt", "/x/..;a=b/admin/secret.txt", "/.;/admin/secret.txt", "/;x/admin/secret.txt", "/admin/secret.txt;x", "/x/%2e%2e;/admin/secret.txt", "/x/..%3b/admin/secret.txt",
		"/%00/admin/secret.txt", "/admin%00/secret.txt", "/%c0%afadmin/secret.txt", "/x/%c0%ae%c0%ae/admin/secret.txt", "/%e0%80%afadmin/secret.txt",
		"/ADMIN/secret.txt", "/Admin/Secret.txt", "/admin./secret.txt", "/admin%20/secret.txt", "/admin%09/secret.txt", "/admin/secret.txt/", "/admin/secret.txt/.", "/admin?/secret.txt", "/admin/secret.txt#", "http://x/admin/secret.txt", "http://x//admin/secret.txt",
		"/../admin/secret.txt", "/x/../../admin/secret.txt", "/%ef%bc%8fadmin/secret.txt", "/%u002fadmin/secret.txt", "/x/..\\admin/secret.txt", "/index.php/../admin/secret.txt", "/index.php/..%2fadmin/secret.txt",
	}
}
