package sendqueue

import "io"

// Part moves the messages that queues have to another process, before their connections move. It is a takeover.Part.
type Part struct {
	Hold    func()                   // has no client read
	Deliver func() error             // delivers what is published. Loops are frozen, and nothing is published any more
	Each    func(yield func(*Queue)) // the queues
	Resume  func(moved bool)         // ends Hold

	Messages Messages // of the other process, after Import
}

// Name implements takeover.Part.
func (*Part) Name() string { return "held" }

// Version implements takeover.Part.
func (*Part) Version() uint16 { return MessagesVersion }

// Freeze implements takeover.Part.
func (p *Part) Freeze() error {
	p.Hold()
	return nil
}

// Export implements takeover.Part.
func (p *Part) Export(w io.Writer) error {
	if err := p.Deliver(); err != nil {
		return err
	}
	all := Messages{}
	p.Each(all.Add)
	_, err := w.Write(all.Append(nil))
	return err
}

// Import implements takeover.Part.
func (p *Part) Import(version uint16, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err == nil {
		p.Messages, err = ParseMessages(version, b)
	}
	return err
}

// Thaw implements takeover.Part.
func (p *Part) Thaw(moved bool) { p.Resume(moved) }
