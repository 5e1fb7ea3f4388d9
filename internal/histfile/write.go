package histfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"go.etcd.io/bbolt"

	"holdfast/internal/hub"
)

// Commit writes a batch in one transaction; it is on disk when Commit returns nil.
func (f *File) Commit(b hub.Batch) (err error) {
	if f.broken != nil {
		return f.broken
	}
	defer panicOnFault()()
	defer f.recoverTo(&err)
	err = f.db.Update(func(tx *bbolt.Tx) error {
		f.size.Store(tx.Size())
		about := tx.Bucket(aboutBucket)
		if b.Begin != nil {
			if err := begin(tx, about, b.Begin); err != nil {
				return err
			}
		}
		if err := about.Put(reservedKey, checksummedID(reservedKey, b.Reserved)); err != nil {
			return err
		}
		if err := f.putPlace(about); err != nil {
			return err
		}
		first := binary.BigEndian.AppendUint64(nil, uint64(b.Run.First))
		if err := tx.Bucket(runsBucket).Put(first, checksummedID(first, b.Run.Last)); err != nil {
			return err
		}
		messages, lost := tx.Bucket(messagesBucket), tx.Bucket(lostBucket)
		messages.FillPercent = fill
		for i := range b.Changes {
			if err := f.change(messages, lost, &b.Changes[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if _, named := errors.AsType[*fs.PathError](err); err != nil && !named {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return err
}

// begin makes the changes of a process that begins.
func begin(tx *bbolt.Tx, about *bbolt.Bucket, b *hub.Begin) error {
	for _, r := range b.Forget {
		if err := tx.Bucket(runsBucket).Delete(binary.BigEndian.AppendUint64(nil, uint64(r.First))); err != nil {
			return err
		}
	}
	if !b.Reset {
		return nil
	}
	if err := tx.DeleteBucket(lostBucket); err != nil {
		return err
	}
	if _, err := tx.CreateBucket(lostBucket); err != nil {
		return err
	}
	if err := about.Put(originKey, checksummedID(originKey, b.Origin)); err != nil {
		return err
	}
	return about.Put(rulesKey, addChecksum(rulesKey, []byte(b.Rules)))
}

func (f *File) change(messages, lost *bbolt.Bucket, c *hub.Change) error {
	switch c.Op {
	case hub.Keep:
		k := recordKey(c.ID, c.Channel)
		return messages.Put(k, addChecksum(k, appendRecord(nil, &c.Record)))
	case hub.Drop:
		return messages.Delete(recordKey(c.ID, c.Channel))
	case hub.Lose:
		k := binary.BigEndian.AppendUint32(nil, c.Slot)
		if v := lost.Get(k); v != nil {
			if id, err := f.id(k, v); err != nil || id >= c.ID {
				return err
			}
		}
		return lost.Put(k, checksummedID(k, c.ID))
	}
	panic("histfile: unknown change")
}
