package fetch

import (
	"fmt"
	"time"

	"holdfast/internal/http1"
)

// announce adds the channel that ends a response, and for how many seconds it may be used without a word of that, and polls be
// held, for the browser shim (upgrade/client/shim.js), which subscribes to it. The field of an app that names one itself stays.
func (f *Fetch) announce(a *http1.Answer) {
	fresh := f.answer.verdict.Fresh - f.answer.verdict.Age
	if f.rule.Pass > 0 { // a request of the session has to come by that often
		fresh = min(fresh, f.rule.Pass)
	}
	if f.answer.share || f.place.Channel == "" || fresh < time.Second || !f.rule.IsPublic() || a.Has("push-channel") {
		return
	}
	value := fmt.Appendf(nil, "%s; fresh=%d", f.place.Channel, int64(fresh/time.Second))
	if hold := int64(f.rule.Hold / time.Second); hold > 0 {
		value = fmt.Appendf(value, "; hold=%d", hold)
	}
	a.Fields = append(a.Fields, http1.Field{Name: []byte("Push-Channel"), Value: value})
}
