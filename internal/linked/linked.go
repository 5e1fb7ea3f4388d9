// Package linked has doubly linked lists whose elements bring their places along, so that to add or remove one allocates
// nothing and takes no search.
package linked

// List has elements in the order in which they were added. The zero value is empty.
type List[T any] struct {
	first, last *Node[T]
	n           int
}

// Node is an element's place in a list; an element has one for each list that it can be in at a time.
type Node[T any] struct {
	Value      T // the element
	prev, next *Node[T]
}

// Len returns how many elements there are.
func (l *List[T]) Len() int { return l.n }

// First returns the element that was added first, or nil.
func (l *List[T]) First() *Node[T] { return l.first }

// Next returns the element that was added after n, or nil.
func (n *Node[T]) Next() *Node[T] { return n.next }

// Add puts an element behind all others. It must not be in a list.
func (l *List[T]) Add(n *Node[T]) {
	n.prev, n.next = l.last, nil
	if l.last != nil {
		l.last.next = n
	} else {
		l.first = n
	}
	l.last = n
	l.n++
}

// Remove takes out an element, which must be in this list.
func (l *List[T]) Remove(n *Node[T]) {
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.last = n.prev
	}
	n.prev, n.next = nil, nil
	l.n--
}
