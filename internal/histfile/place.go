package histfile

import (
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"
)

// place tells a file from its copies. A file that was copied, restored or moved since Holdfast wrote it may lack
// messages, and nothing in it says so: it is what it was at the time of the copy.
type place struct {
	inode   uint64
	changed int64 // Unix nanoseconds
}

// placeSlack is how much later than its last commit a file may have been changed: a disk may be slow.
const placeSlack = 10 * time.Second

var placeKey = []byte("place")

// Foreign reports whether the file, when it was opened, was not as Holdfast had left it. It is known after Load.
func (f *File) Foreign() bool { return f.foreign }

// putPlace notes, in the transaction that changes the file, where it is and when.
func (f *File) putPlace(about *bbolt.Bucket) error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	v := binary.BigEndian.AppendUint64(nil, placeOf(info).inode)
	v = binary.BigEndian.AppendUint64(v, uint64(time.Now().UnixNano()))
	return about.Put(placeKey, addChecksum(placeKey, v))
}

// isForeign compares where the file was found with where it was written. A file that does not say was written by a
// version that could not notice.
func (f *File) isForeign(about *bbolt.Bucket) (bool, error) {
	v := about.Get(placeKey)
	if v == nil {
		return true, nil
	}
	v, err := f.open(placeKey, v)
	if err != nil {
		return false, err
	}
	if len(v) != 16 {
		return false, f.damaged(placeKey)
	}
	left := place{binary.BigEndian.Uint64(v), int64(binary.BigEndian.Uint64(v[8:]))}
	return f.found.inode != left.inode || f.found.changed > left.changed+int64(placeSlack), nil
}
