package ending

import "testing"

// TestReasonsHaveTexts checks that each reason has a text of its own.
func TestReasonsHaveTexts(t *testing.T) {
	seen := map[string]Reason{}
	for r := range Reasons {
		text := r.String()
		if other, taken := seen[text]; taken || text == "" {
			t.Errorf("reasons %d and %d are both %q", other, r, text)
		}
		seen[text] = r
	}
}
