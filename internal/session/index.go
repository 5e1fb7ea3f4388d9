package session

import "slices"

// Index finds sessions by their user and their credentials. It is for one goroutine, a loop's.
type Index[C any] struct {
	users       map[string]*Session[C]
	credentials map[uint64]*Session[C]
	more        map[uint64]map[*Session[C]]struct{}
}

// NewIndex returns an empty index.
func NewIndex[C any]() *Index[C] {
	return &Index[C]{
		users: map[string]*Session[C]{}, credentials: map[uint64]*Session[C]{}, more: map[uint64]map[*Session[C]]struct{}{},
	}
}

// SetUser sets the user of a session that has none.
func (x *Index[C]) SetUser(s *Session[C], user string) {
	s.user = user
	if head := x.users[user]; head != nil {
		s.sameUser.next, head.sameUser.prev = head, s
	}
	x.users[user] = s
}

// SetCredentials sets the sessions of the app that a client has, unless they are set. The first one is its own.
func (x *Index[C]) SetCredentials(s *Session[C], list []uint64) {
	if s.credential != 0 || len(list) == 0 {
		return
	}
	c := list[0]
	for _, more := range list[1:] {
		if x.more[more] == nil {
			x.more[more] = map[*Session[C]]struct{}{}
		}
		x.more[more][s] = struct{}{}
		s.more = append(s.more, more)
	}
	s.credential = c
	if head := x.credentials[c]; head != nil {
		s.sameCredential.next, head.sameCredential.prev = head, s
	}
	x.credentials[c] = s
}

// Remove takes a session out.
func (x *Index[C]) Remove(s *Session[C]) {
	if s.user != "" {
		unlink(x.users, s.user, s, func(s *Session[C]) *link[C] { return &s.sameUser })
	}
	for _, c := range s.more {
		if delete(x.more[c], s); len(x.more[c]) == 0 {
			delete(x.more, c)
		}
	}
	if s.credential != 0 {
		unlink(x.credentials, s.credential, s, func(s *Session[C]) *link[C] { return &s.sameCredential })
	}
}

// unlink takes a session out of the list that begins at heads[key].
func unlink[C any, K comparable](heads map[K]*Session[C], key K, s *Session[C], of func(*Session[C]) *link[C]) {
	prev, next := of(s).prev, of(s).next
	switch {
	case prev != nil:
		of(prev).next = next
	case next != nil:
		heads[key] = next
	default:
		delete(heads, key)
	}
	if next != nil {
		of(next).prev = prev
	}
	*of(s) = link[C]{}
}

// OfUser returns the connections of a user, the newest first.
func (x *Index[C]) OfUser(user string) (list []C) {
	for s := x.users[user]; s != nil; s = s.sameUser.next {
		list = append(list, s.Conn)
	}
	return list
}

// withCredential returns the sessions that have a credential.
func (x *Index[C]) withCredential(credential uint64) (list []*Session[C]) {
	for s := x.credentials[credential]; s != nil; s = s.sameCredential.next {
		list = append(list, s)
	}
	for s := range x.more[credential] {
		list = append(list, s)
	}
	return list
}

// OfCredentials returns the connections that have one of the credentials, each once.
func (x *Index[C]) OfCredentials(credentials []uint64) (list []C) {
	for i, credential := range credentials {
		for _, s := range x.withCredential(credential) {
			before := func(c uint64) bool { return s.credential == c || slices.Contains(s.more, c) }
			if !slices.ContainsFunc(credentials[:i], before) {
				list = append(list, s.Conn)
			}
		}
	}
	return list
}
