package upgrade

import "holdfast/internal/park"

// Change changes the channels of every held connection, and returns what each said.
func (k *Keeper) Change(join, leave []string) (said []error) {
	for _, l := range k.o.Poller.Loops() {
		donec := make(chan []error)
		l.Post(func() {
			var list []error
			l.Each(func(c *park.Conn) {
				if x, ok := c.Handler().(*held); ok {
					list = append(list, x.change(join, leave))
				}
			})
			donec <- list
		})
		said = append(said, <-donec...)
	}
	return said
}
