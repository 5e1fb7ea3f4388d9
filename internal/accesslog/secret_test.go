package accesslog

import "testing"

// TestHide: a token is not in the log, wherever it stands; everything else is as it came.
func TestHide(t *testing.T) {
	var l Log
	l.Hide("token", "/_push", "/shop/push")
	for text, want := range map[string]string{
		"/_push?token=s3cret":                                 "/_push?token=***",
		"/_push?channel=a&token=s3cret&channel=b":             "/_push?channel=a&token=***&channel=b",
		"/_push?token=s3cret&token=s3cret2":                   "/_push?token=***&token=***",
		"/_push?%74oken=s3cret&to%6ben=s3cret":                "/_push?%74oken=***&to%6ben=***",
		"GET /_push?token=s3cret HTTP/1.1":                    "GET /_push?token=*** HTTP/1.1",
		"http://h/_push?a=b&token=s3cret":                     "http://h/_push?a=b&token=***",
		"/_push/x?token=a=b?c=d&e":                            "/_push/x?token=***&e",
		"/_push?channel=a;token=s3cret&b":                     "/_push?channel=a;token=***&b",
		"/_push;token=s3cret?channel=a":                       "/_push;token=***",
		"/_push?token=a;token=b&token=c":                      "/_push?token=***&token=***",
		"/_push?token=a?token=b;token=c":                      "/_push?token=***",
		"/_push?a;tok%65n=s3cret#x":                           "/_push?a;tok%65n=***#x",
		"/_push?token=":                                       "/_push?token=***",
		"/_push?tokens=a&xtoken=b&token&channel=token":        "/_push?tokens=a&xtoken=b&token&channel=token",
		"/_push?Token=s3cret&+token=s3cret&TOK%45N%00=s3cret": "/_push?Token=***&+token=***&TOK%45N%00=***",
		"/_push":                   "/_push",
		"/shop?token=visible":      "/shop?token=visible",
		"/shop/push?token=s3cret":  "/shop/push?token=***",
		"/shop/pull?token=visible": "/shop/pull?token=visible",
		"":                         "",
	} {
		if got := string(l.public([]byte(text))); got != want {
			t.Errorf("%q is logged as %q; want %q", text, got, want)
		}
	}
	var none *Log
	none.Hide("token", "/_push")
	if got := string((&Log{}).public([]byte("/_push?token=a"))); got != "/_push?token=a" {
		t.Errorf("without a secret %q is logged", got)
	}
}
