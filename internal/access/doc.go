// Package access decides whether the client of a request may have an answer: by its address, and by a user and password that a
// file of htpasswd has.
//
// [Rules.Decide] runs on an event loop and does not block. Passwords are hashed so that hashing is slow, so a login that is
// not known yet is an [Attempt], which a worker verifies. A login that was verified is known for an hour, unless its
// user's line changes: a keyed hash of it is, and no password. The file is looked at again when it was not for a second, also by a worker.
package access
