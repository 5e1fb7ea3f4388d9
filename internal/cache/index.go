package cache

// tagList is the items that have a tag, those that were stored first in front.
type tagList struct {
	tag        Tag
	head, tail *node
	n          int
	bytes      int64
	changed    uint64 // the number of the last invalidation: items of an earlier fetch are dead
	dying      bool   // it is in Store.dying
}

// node is an item's place in a tagList.
type node struct {
	list       *tagList
	item       *item
	prev, next *node
}

// link puts an item into the lists of its tags.
func (s *Store) link(it *item, tags []Tag) {
	it.nodes = make([]node, len(tags))
	for i, t := range tags {
		list := s.tags[t]
		if list == nil {
			list = &tagList{tag: t}
			s.tags[t] = list
		}
		n := &it.nodes[i]
		*n = node{list: list, item: it, prev: list.tail}
		if list.tail != nil {
			list.tail.next = n
		} else {
			list.head = n
		}
		list.tail = n
		list.n++
		list.bytes += it.size
	}
}

// cost returns how much work it is to drop an item: one for most, more for those in many groups.
func (it *item) cost() int { return 1 + len(it.nodes)/16 }

// unlink takes an item out of them.
func (s *Store) unlink(it *item) {
	for i := range it.nodes {
		n := &it.nodes[i]
		list := n.list
		if n.prev != nil {
			n.prev.next = n.next
		} else {
			list.head = n.next
		}
		if n.next != nil {
			n.next.prev = n.prev
		} else {
			list.tail = n.prev
		}
		list.n--
		list.bytes -= it.size
		if list.n == 0 {
			delete(s.tags, list.tag)
		}
	}
	it.nodes = nil
}

// makeSessionRoom drops the oldest items of each of the sessions of a place until size more bytes have room among theirs.
func (s *Store) makeSessionRoom(p *Place, size int64) Reason {
	if len(p.sessions) > 0 && size > s.o.SessionBytes {
		return TooLarge
	}
	drops := 0
	for _, t := range p.sessions {
		for list := s.tags[t]; list != nil && list.n > 0 && list.bytes+size > s.o.SessionBytes; {
			if drops >= maxDrops {
				return NoRoom
			}
			drops += list.head.item.cost()
			s.drop(list.head.item, SessionFull)
		}
	}
	return None
}
