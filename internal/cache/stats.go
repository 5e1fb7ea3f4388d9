package cache

// Stats is what a store has done, and has.
type Stats struct {
	Hits       int64 // requests that were answered from a fresh entry
	Fetches    int64 // requests that went to the app
	Alone      int64 // of these, for which nobody was to wait
	Crowded    int64 // of these, because too many waited already
	Waits      int64 // requests that waited for another's fetch
	Left       int64 // of these, that did not wait until its end
	Busy       int64 // requests that were given a stale entry because another fetches, or the app has just failed
	HandedOver int64 // fetches whose leader went away

	Stored        int64
	Refused       [reasons]int64 // fetches that brought nothing that is kept, by Reason
	Dropped       [reasons]int64 // entries and marks, by Reason
	Invalidations int64

	Entries int   // and marks, at present
	Bytes   int64 // of these
	Flights int   // at present
	Watches int   // at present
}

// count counts what became of a fetch.
func (s *Stats) count(why Reason) {
	if why == None {
		s.Stored++
	} else {
		s.Refused[why]++
	}
}

// Stats returns what the store has done.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Flights = s.flights.all.Len()
	return st
}

// Reasons returns all reasons, for the labels of Stats.Refused and Dropped.
func Reasons() []Reason {
	list := make([]Reason, reasons)
	for i := range list {
		list[i] = Reason(i)
	}
	return list
}
