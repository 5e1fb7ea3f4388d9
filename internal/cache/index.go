package cache

import "holdfast/internal/linked"

// tagList is the items that have a tag, those that were stored first in front.
type tagList struct {
	tag     Tag
	items   linked.List[*item]
	bytes   int64
	changed uint64 // the number of the last invalidation: items of an earlier fetch are dead
	dying   bool   // it is in Store.dying
}

// first returns the item that was stored first; there is one.
func (l *tagList) first() *item { return l.items.First().Value }

// node is an item's place in a tagList.
type node struct {
	list *tagList
	linked.Node[*item]
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
		n.list, n.Value = list, it
		list.items.Add(&n.Node)
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
		list.items.Remove(&n.Node)
		list.bytes -= it.size
		if list.items.Len() == 0 {
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
		for list := s.tags[t]; list != nil && list.items.Len() > 0 && list.bytes+size > s.o.SessionBytes; {
			if drops >= maxDrops {
				return NoRoom
			}
			drops += list.first().cost()
			s.drop(list.first(), SessionFull)
		}
	}
	return None
}
