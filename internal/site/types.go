package site

import "strings"

const unknownType = "application/octet-stream"

// contentType says what a file's name says it is. Text has no charset: pages of old sites name theirs
// in the text, which a header would override.
func contentType(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		if t, ok := types[strings.ToLower(name[i+1:])]; ok {
			return t
		}
	}
	return unknownType
}

var types = map[string]string{
	"7z":          "application/x-7z-compressed",
	"aac":         "audio/aac",
	"apng":        "image/apng",
	"atom":        "application/atom+xml",
	"avi":         "video/x-msvideo",
	"avif":        "image/avif",
	"bmp":         "image/bmp",
	"css":         "text/css",
	"csv":         "text/csv",
	"doc":         "application/msword",
	"docx":        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"eot":         "application/vnd.ms-fontobject",
	"epub":        "application/epub+zip",
	"flac":        "audio/flac",
	"gif":         "image/gif",
	"gz":          "application/gzip",
	"htc":         "text/x-component",
	"htm":         "text/html",
	"html":        "text/html",
	"ico":         "image/x-icon",
	"ics":         "text/calendar",
	"jar":         "application/java-archive",
	"jpeg":        "image/jpeg",
	"jpg":         "image/jpeg",
	"js":          "text/javascript",
	"json":        "application/json",
	"jsonld":      "application/ld+json",
	"m3u8":        "application/vnd.apple.mpegurl",
	"m4a":         "audio/mp4",
	"m4v":         "video/x-m4v",
	"map":         "application/json",
	"md":          "text/markdown",
	"mid":         "audio/midi",
	"midi":        "audio/midi",
	"mjs":         "text/javascript",
	"mov":         "video/quicktime",
	"mp3":         "audio/mpeg",
	"mp4":         "video/mp4",
	"mpeg":        "video/mpeg",
	"mpg":         "video/mpeg",
	"odp":         "application/vnd.oasis.opendocument.presentation",
	"ods":         "application/vnd.oasis.opendocument.spreadsheet",
	"odt":         "application/vnd.oasis.opendocument.text",
	"oga":         "audio/ogg",
	"ogg":         "audio/ogg",
	"ogv":         "video/ogg",
	"opus":        "audio/ogg",
	"otf":         "font/otf",
	"pdf":         "application/pdf",
	"png":         "image/png",
	"ppt":         "application/vnd.ms-powerpoint",
	"pptx":        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"ps":          "application/postscript",
	"rar":         "application/vnd.rar",
	"rss":         "application/rss+xml",
	"rtf":         "application/rtf",
	"svg":         "image/svg+xml",
	"swf":         "application/x-shockwave-flash",
	"tar":         "application/x-tar",
	"tif":         "image/tiff",
	"tiff":        "image/tiff",
	"ts":          "video/mp2t",
	"ttf":         "font/ttf",
	"txt":         "text/plain",
	"vtt":         "text/vtt",
	"wasm":        "application/wasm",
	"wav":         "audio/wav",
	"weba":        "audio/webm",
	"webm":        "video/webm",
	"webmanifest": "application/manifest+json",
	"webp":        "image/webp",
	"woff":        "font/woff",
	"woff2":       "font/woff2",
	"xhtml":       "application/xhtml+xml",
	"xls":         "application/vnd.ms-excel",
	"xlsx":        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"xml":         "text/xml",
	"xsl":         "text/xml",
	"xslt":        "text/xml",
	"zip":         "application/zip",
}
