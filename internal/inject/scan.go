package inject

import (
	"bytes"

	"holdfast/internal/http1"
)

const (
	maxScan  = 64 << 10 // bytes in which the place is looked for
	maxToken = 1 << 10  // bytes that are kept back: the beginning of a tag
)

// verdict is what a byte says about the place of the tag.
type verdict uint8

const (
	onward verdict = iota // nothing yet
	before                // the tag goes before the token that this byte belongs to
	never                 // the page has no place for it; why says more
)

// scanner looks for the place of the tag, byte for byte, as a parser of HTML (or XML) splits a page into tokens. The state
// depends on the bytes alone, so it is the same however they are cut into pieces.
type scanner struct {
	xhtml bool
	src   string // of our tag
	why   Reason // with never

	state state
	tag   inTag
	n     int    // bytes so far
	token []byte // as far as it has come, while keep
	keep  bool   // the place may be before the token
	name  []byte // of a tag, or what follows "<!"
	is    element
	quote byte // of XHTML's doctype
	slash bool // the last byte of the tag was one; of XHTML's "<?", a question mark

	page   bool   // there was a doctype or <html>
	head   bool   // there was <head>, or what implies it
	prefix []byte // of XHTML's names, with the colon
}

// element is the one whose start tag is read.
type element uint8

const (
	isHTML element = iota
	isHead
	isMeta
	isScript
	isEnd // an end tag of HTML
)

type state uint8

const (
	atStart      state = iota // a byte order mark may come
	inMark                    // of UTF-8
	inText                    // between tokens
	inOpen                    // behind "<"
	inClose                   // behind "</"
	inName                    // of a tag
	inAttributes              // of a tag
	inBang                    // behind "<!"
	inComment                 // and behind "-" or "--" of its beginning or end:
	inCommentStart
	inCommentStartDash
	inCommentDash
	inCommentEnd
	inCommentBang
	inBogus   // up to the next ">": a doctype, or what is nothing
	inDoctype // of XHTML
	inPI      // of XHTML: up to "?>"
)

// step takes the next byte.
func (s *scanner) step(c byte) verdict {
	if s.n++; s.n > maxScan {
		return s.giveUp(NoHead)
	}
	if s.keep {
		if s.token = append(s.token, c); len(s.token) > maxToken {
			return s.content()
		}
	}
	switch s.state {
	case atStart, inMark:
		return s.stepMark(c)
	case inText:
		return s.stepText(c)
	case inOpen:
		return s.stepOpen(c)
	case inClose:
		s.stepClose(c)
	case inName:
		return s.stepName(c)
	case inAttributes:
		if s.tag.step(c) {
			return s.endTag()
		}
		s.slash = c == '/' && s.tag == beforeName
	case inBang:
		return s.stepBang(c)
	case inBogus:
		if c == '>' {
			s.state = inText
		}
	case inDoctype:
		return s.stepDoctype(c)
	case inPI:
		if s.slash && c == '>' {
			s.state = inText
		}
		s.slash = c == '?'
	default:
		s.stepComment(c)
	}
	return onward
}

func (s *scanner) giveUp(why Reason) verdict {
	s.why = why
	return never
}

// end takes the end of the page, in which no place was found.
func (s *scanner) end() {
	if s.why = Fragment; s.page || s.head {
		s.why = NoHead
	}
}

// content has met what ends a head, or belongs into one. The tag goes before it.
func (s *scanner) content() verdict {
	switch {
	case s.head || s.page && !s.xhtml:
		return before
	case s.page:
		return s.giveUp(NoHead)
	}
	return s.giveUp(Fragment)
}

// stepMark takes the first bytes. A mark of UTF-16 is text like any other, with which no page begins.
func (s *scanner) stepMark(c byte) verdict {
	const mark = "\xef\xbb\xbf"
	if s.n <= len(mark) && c == mark[s.n-1] {
		if s.state = inMark; s.n == len(mark) {
			s.state = inText
		}
		return onward
	}
	if s.state == inMark {
		return s.giveUp(Fragment)
	}
	s.state = inText
	return s.stepText(c)
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' }

// stepText takes a byte between tokens.
func (s *scanner) stepText(c byte) verdict {
	if isSpace(c) {
		return onward
	}
	s.token, s.keep = append(s.token[:0], c), true
	if c != '<' {
		return s.content()
	}
	s.state = inOpen
	return onward
}

// drop notes that the tag won't go before this token.
func (s *scanner) drop() { s.token, s.keep = s.token[:0], false }

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// stepOpen takes the byte behind "<".
func (s *scanner) stepOpen(c byte) verdict {
	s.name = s.name[:0]
	switch {
	case c == '!':
		s.state = inBang
	case c == '?':
		s.drop()
		if s.state, s.slash = inBogus, false; s.xhtml {
			s.state = inPI
		}
	case c == '/' && !s.xhtml:
		s.state = inClose
	case isLetter(c) || s.xhtml && (c == '_' || c == ':' || c >= 0x80):
		s.state, s.is = inName, isHTML
		return s.stepName(c)
	default: // text, or in XHTML an end tag
		return s.content()
	}
	return onward
}

// stepClose takes the byte behind "</".
func (s *scanner) stepClose(c byte) {
	switch {
	case isLetter(c):
		s.state, s.is = inName, isEnd
		s.stepName(c)
		return
	case c == '>': // "</>" is nothing
		s.state = inText
	default:
		s.state = inBogus
	}
	s.drop()
}

// stepName takes a byte of a tag's name, or the one behind it.
func (s *scanner) stepName(c byte) verdict {
	if !isSpace(c) && c != '/' && c != '>' {
		if !s.xhtml && c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		s.name = append(s.name, c) // as long as the token at most
		return onward
	}
	start := s.startHTML
	if s.xhtml {
		start = s.startXHTML
	}
	if v := start(); v != onward {
		return v
	}
	s.state, s.tag, s.slash = inAttributes, beforeName, c == '/'
	if c == '>' {
		return s.endTag()
	}
	return onward
}

// startHTML looks at the name of a tag.
func (s *scanner) startHTML() verdict {
	switch name := string(s.name); {
	case s.is == isEnd:
		switch name {
		case "head", "body", "html", "br":
			return s.content()
		}
		s.drop() // others are ignored where no element is open that they could end
	case name == "html" && !s.head:
		s.is, s.page = isHTML, true
		s.drop()
	case name == "head" && !s.head:
		s.is, s.head = isHead, true
		s.drop()
	case name == "body" && !s.page && !s.head:
		return before
	case name == "meta" && (s.page || s.head):
		s.is, s.head = isMeta, true // which implies a head
	case name == "script" && (s.page || s.head):
		s.is, s.head = isScript, true
	default:
		return s.content()
	}
	return onward
}

// startXHTML is startHTML for XHTML: html comes first, then head, both with one prefix or none.
func (s *scanner) startXHTML() verdict {
	prefix, local := []byte(nil), string(s.name)
	if i := bytes.IndexByte(s.name, ':'); i >= 0 {
		prefix, local = s.name[:i+1], local[i+1:]
	}
	switch {
	case s.head && local == "script" && bytes.Equal(prefix, s.prefix):
		s.is = isScript
	case !s.page && local == "html":
		s.is, s.page = isHTML, true
		s.prefix = bytes.Clone(prefix)
		s.drop()
	case s.page && !s.head && local == "head" && bytes.Equal(prefix, s.prefix):
		s.is, s.head = isHead, true
		s.drop()
	default:
		return s.content()
	}
	return onward
}

// endTag takes the ">" of a tag.
func (s *scanner) endTag() verdict {
	s.state = inText
	switch s.is {
	case isHTML, isHead, isEnd:
		if s.xhtml && s.slash { // an empty element
			return s.giveUp(NoHead)
		}
		return onward
	case isMeta:
		if !leads(s.token) {
			return before
		}
		s.drop()
		return onward
	}
	if src, ok := attributeOf(s.token, "src"); ok && string(src) == s.src {
		return s.giveUp(Present)
	}
	return before
}

// stepBang takes a byte behind "<!", until it is clear what begins.
func (s *scanner) stepBang(c byte) verdict {
	const doctype = "doctype"
	s.name = append(s.name, c)
	n := len(s.name)
	switch {
	case n == 1 && c == '-':
		return onward
	case n == 2 && string(s.name) == "--":
		if s.state = inCommentStart; s.xhtml {
			s.state = inComment
		}
	case n < len(doctype) && http1.EqualFold(s.name, doctype[:n]):
		return onward
	case n == len(doctype) && http1.EqualFold(s.name, doctype):
		if s.page, s.state = true, inBogus; s.xhtml {
			s.page, s.state, s.quote = false, inDoctype, 0
		}
	case s.xhtml: // CDATA is text
		return s.content()
	case c == '>':
		s.state = inText
	default:
		s.state = inBogus
	}
	s.drop()
	return onward
}

// stepComment takes a byte of a comment. HTML ends one at "-->" and "--!>", and at ">" or "->" at its beginning.
func (s *scanner) stepComment(c byte) {
	was := s.state
	s.state = inComment
	switch {
	case c == '-' && (was == inCommentStartDash || was == inCommentDash || was == inCommentEnd):
		s.state = inCommentEnd
	case c == '-' && was == inCommentStart:
		s.state = inCommentStartDash
	case c == '-':
		s.state = inCommentDash
	case c == '!' && was == inCommentEnd && !s.xhtml:
		s.state = inCommentBang
	case c == '>' && (was != inComment && was != inCommentDash):
		s.state = inText
	}
}

// stepDoctype takes a byte of XHTML's doctype. One with declarations of its own, which may be anything, is left alone.
func (s *scanner) stepDoctype(c byte) verdict {
	switch {
	case s.quote != 0:
		if c == s.quote {
			s.quote = 0
		}
	case c == '"' || c == '\'':
		s.quote = c
	case c == '[':
		return s.giveUp(NoHead)
	case c == '>':
		s.state = inText
	}
	return onward
}
