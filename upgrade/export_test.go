package upgrade

// DialectNames are the names of the dialects of a keeper that compresses nothing, in the order of registration.
func DialectNames() (names []string) {
	for _, f := range newForms(new(Keeper)) {
		names = append(names, f.name())
	}
	return names
}
