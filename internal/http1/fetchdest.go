package http1

// IsPageDest reports whether a value of Sec-Fetch-Dest is that of a page. fetch and XMLHttpRequest have "empty". Browsers send
// the field on secure origins only, and old ones never.
func IsPageDest(value []byte) bool {
	return len(value) == 0 || EqualFold(value, "document") || EqualFold(value, "iframe") || EqualFold(value, "frame")
}
