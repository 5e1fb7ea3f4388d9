package site

import (
	"os"
	"strings"
	"sync"
)

const unknownType = "application/octet-stream"

// systemTypes are files that say which types endings have, each line a type and its endings.
var systemTypes = []string{"/etc/mime.types", "/etc/apache2/mime.types", "/etc/nginx/mime.types", "/usr/local/etc/mime.types"}

// loadSystemTypes reads the first of systemTypes that is there.
var loadSystemTypes = sync.OnceValue(func() map[string]string {
	for _, name := range systemTypes {
		if b, err := os.ReadFile(name); err == nil {
			if list := parseTypes(string(b)); len(list) > 0 {
				return list
			}
		}
	}
	return nil
})

// parseTypes reads lines of a type and its endings, as mime.types has them, also those of nginx. What is no such line
// is left out.
func parseTypes(text string) map[string]string {
	list := map[string]string{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(strings.TrimSuffix(strings.TrimSpace(line), ";"))
		if len(fields) < 2 || !isType(fields[0]) {
			continue
		}
		for _, ending := range fields[1:] {
			ending = strings.ToLower(strings.TrimPrefix(ending, "."))
			if _, ok := list[ending]; !ok {
				list[ending] = fields[0]
			}
		}
	}
	return list
}

// isType reports whether s is a media type without parameters.
func isType(s string) bool {
	main, sub, ok := strings.Cut(s, "/")
	valid := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$&-^_.+", r))
	}
	return ok && main != "" && sub != "" && !strings.ContainsFunc(main+sub, valid)
}

// contentType says what a file's name says it is: by Options.Types, by ours, by the system's. Text has no charset:
// pages of old sites name theirs in the text, which a header would override.
func (s *Site) contentType(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return unknownType
	}
	ending := strings.ToLower(name[i+1:])
	for _, list := range []map[string]string{s.types, types} {
		if t, ok := list[ending]; ok {
			return t
		}
	}
	if t, ok := loadSystemTypes()[ending]; ok {
		return t
	}
	return unknownType
}

var types = map[string]string{
	"3gp":         "video/3gpp",
	"3gpp":        "video/3gpp",
	"7z":          "application/x-7z-compressed",
	"aac":         "audio/aac",
	"ai":          "application/postscript",
	"apk":         "application/vnd.android.package-archive",
	"apng":        "image/apng",
	"asc":         "text/plain",
	"asf":         "video/x-ms-asf",
	"asx":         "video/x-ms-asf",
	"atom":        "application/atom+xml",
	"avi":         "video/x-msvideo",
	"avif":        "image/avif",
	"bmp":         "image/bmp",
	"bz2":         "application/x-bzip2",
	"cer":         "application/pkix-cert",
	"crl":         "application/pkix-crl",
	"crt":         "application/x-x509-ca-cert",
	"css":         "text/css",
	"csv":         "text/csv",
	"cur":         "image/x-icon",
	"deb":         "application/vnd.debian.binary-package",
	"der":         "application/x-x509-ca-cert",
	"djvu":        "image/vnd.djvu",
	"doc":         "application/msword",
	"docx":        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"dtd":         "application/xml-dtd",
	"dwg":         "image/vnd.dwg",
	"ear":         "application/java-archive",
	"eml":         "message/rfc822",
	"eot":         "application/vnd.ms-fontobject",
	"eps":         "application/postscript",
	"epub":        "application/epub+zip",
	"flac":        "audio/flac",
	"flv":         "video/x-flv",
	"geojson":     "application/geo+json",
	"gif":         "image/gif",
	"glb":         "model/gltf-binary",
	"gltf":        "model/gltf+json",
	"gpx":         "application/gpx+xml",
	"gz":          "application/gzip",
	"heic":        "image/heic",
	"heif":        "image/heif",
	"hqx":         "application/mac-binhex40",
	"htc":         "text/x-component",
	"htm":         "text/html",
	"html":        "text/html",
	"hwp":         "application/x-hwp",
	"hwpx":        "application/hwp+zip",
	"ico":         "image/x-icon",
	"ics":         "text/calendar",
	"jad":         "text/vnd.sun.j2me.app-descriptor",
	"jar":         "application/java-archive",
	"jfif":        "image/jpeg",
	"jng":         "image/x-jng",
	"jnlp":        "application/x-java-jnlp-file",
	"jp2":         "image/jp2",
	"jpe":         "image/jpeg",
	"jpeg":        "image/jpeg",
	"jpg":         "image/jpeg",
	"js":          "text/javascript",
	"json":        "application/json",
	"jsonld":      "application/ld+json",
	"jxl":         "image/jxl",
	"kar":         "audio/midi",
	"kml":         "application/vnd.google-earth.kml+xml",
	"kmz":         "application/vnd.google-earth.kmz",
	"m3u":         "audio/x-mpegurl",
	"m3u8":        "application/vnd.apple.mpegurl",
	"m4a":         "audio/mp4",
	"m4b":         "audio/mp4",
	"m4v":         "video/x-m4v",
	"map":         "application/json",
	"md":          "text/markdown",
	"mid":         "audio/midi",
	"midi":        "audio/midi",
	"mjs":         "text/javascript",
	"mkv":         "video/x-matroska",
	"mml":         "text/mathml",
	"mng":         "video/x-mng",
	"mobi":        "application/x-mobipocket-ebook",
	"mov":         "video/quicktime",
	"mp3":         "audio/mpeg",
	"mp4":         "video/mp4",
	"mpd":         "application/dash+xml",
	"mpeg":        "video/mpeg",
	"mpg":         "video/mpeg",
	"msg":         "application/vnd.ms-outlook",
	"odg":         "application/vnd.oasis.opendocument.graphics",
	"odp":         "application/vnd.oasis.opendocument.presentation",
	"ods":         "application/vnd.oasis.opendocument.spreadsheet",
	"odt":         "application/vnd.oasis.opendocument.text",
	"oga":         "audio/ogg",
	"ogg":         "audio/ogg",
	"ogv":         "video/ogg",
	"opus":        "audio/ogg",
	"otf":         "font/otf",
	"p12":         "application/x-pkcs12",
	"p7b":         "application/x-pkcs7-certificates",
	"pdf":         "application/pdf",
	"pem":         "application/x-x509-ca-cert",
	"pfx":         "application/x-pkcs12",
	"png":         "image/png",
	"pps":         "application/vnd.ms-powerpoint",
	"ppsx":        "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
	"ppt":         "application/vnd.ms-powerpoint",
	"pptx":        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"ps":          "application/postscript",
	"psd":         "image/vnd.adobe.photoshop",
	"ra":          "audio/x-realaudio",
	"rar":         "application/vnd.rar",
	"rpm":         "application/x-redhat-package-manager",
	"rss":         "application/rss+xml",
	"rtf":         "application/rtf",
	"shtml":       "text/html",
	"sit":         "application/x-stuffit",
	"srt":         "application/x-subrip",
	"svg":         "image/svg+xml",
	"svgz":        "image/svg+xml",
	"swf":         "application/x-shockwave-flash",
	"tar":         "application/x-tar",
	"tif":         "image/tiff",
	"tiff":        "image/tiff",
	"torrent":     "application/x-bittorrent",
	"ts":          "video/mp2t",
	"tsv":         "text/tab-separated-values",
	"ttf":         "font/ttf",
	"txt":         "text/plain",
	"vcf":         "text/vcard",
	"vsd":         "application/vnd.visio",
	"vtt":         "text/vtt",
	"war":         "application/java-archive",
	"wasm":        "application/wasm",
	"wav":         "audio/wav",
	"wbmp":        "image/vnd.wap.wbmp",
	"weba":        "audio/webm",
	"webm":        "video/webm",
	"webmanifest": "application/manifest+json",
	"webp":        "image/webp",
	"wma":         "audio/x-ms-wma",
	"wml":         "text/vnd.wap.wml",
	"wmlc":        "application/vnd.wap.wmlc",
	"wmv":         "video/x-ms-wmv",
	"woff":        "font/woff",
	"woff2":       "font/woff2",
	"xhtml":       "application/xhtml+xml",
	"xls":         "application/vnd.ms-excel",
	"xlsx":        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"xml":         "text/xml",
	"xpi":         "application/x-xpinstall",
	"xsl":         "text/xml",
	"xslt":        "text/xml",
	"xspf":        "application/xspf+xml",
	"xz":          "application/x-xz",
	"zip":         "application/zip",
	"zst":         "application/zstd",
}
