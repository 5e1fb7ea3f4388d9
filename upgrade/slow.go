package upgrade

// SlowPolicy is what becomes of a channel's messages when a reader is slower than they come.
type SlowPolicy uint8

const (
	Disconnect SlowPolicy = iota // the connection ends; it resumes where it was
	DropOldest                   // the oldest that wait are left out, and the reader is told of the gap
	LatestOnly                   // of what waits only the channel's newest message is kept
	slowPolicies
)

func (p SlowPolicy) String() string {
	return [slowPolicies]string{"disconnect", "drop_oldest", "latest_only"}[p]
}
