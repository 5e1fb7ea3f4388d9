package histfile

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"holdfast/internal/hub"
)

// Load returns what the file has beside messages.
func (f *File) Load() (s hub.State, err error) {
	defer panicOnFault()()
	defer f.recoverTo(&err)
	err = f.db.View(func(tx *bbolt.Tx) error {
		about := tx.Bucket(aboutBucket)
		if about.Get(reservedKey) == nil {
			return nil // new
		}
		if s.Reserved, err = f.id(reservedKey, about.Get(reservedKey)); err != nil {
			return err
		}
		if s.Origin, err = f.id(originKey, about.Get(originKey)); err != nil {
			return err
		}
		rules, err := f.open(rulesKey, about.Get(rulesKey))
		if err != nil {
			return err
		}
		s.Rules = string(rules)
		if s.Foreign, err = f.isForeign(about); err != nil {
			return err
		}
		f.foreign = s.Foreign
		err = tx.Bucket(runsBucket).ForEach(func(k, v []byte) error {
			last, err := f.id(k, v)
			if err != nil || len(k) != 8 {
				return f.damaged(k)
			}
			s.Runs = append(s.Runs, hub.Run{First: hub.ID(binary.BigEndian.Uint64(k)), Last: last})
			return nil
		})
		if err != nil {
			return err
		}
		s.Lost = make(map[uint32]hub.ID)
		return tx.Bucket(lostBucket).ForEach(func(k, v []byte) error {
			id, err := f.id(k, v)
			if err != nil || len(k) != 4 {
				return f.damaged(k)
			}
			s.Lost[binary.BigEndian.Uint32(k)] = id
			return nil
		})
	})
	return s, err
}

// Each reads every message, by growing id.
func (f *File) Each(do func(hub.Record) error) (err error) {
	defer panicOnFault()()
	defer f.recoverTo(&err)
	return f.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(messagesBucket).ForEach(func(k, v []byte) error {
			body, err := f.open(k, v)
			if err != nil {
				return err
			}
			r, ok := parseRecord(k, body)
			if !ok {
				return f.damaged(k)
			}
			return do(r)
		})
	})
}

// id reads a value that is an id.
func (f *File) id(key, value []byte) (hub.ID, error) {
	body, err := f.open(key, value)
	if err != nil {
		return 0, err
	}
	if len(body) != 8 {
		return 0, f.damaged(key)
	}
	return hub.ID(binary.BigEndian.Uint64(body)), nil
}

// open checks the sum of a value and returns the rest.
func (f *File) open(key, value []byte) ([]byte, error) {
	body, ok := verifyChecksum(key, value)
	if !ok {
		return nil, f.damaged(key)
	}
	return body, nil
}

func (f *File) damaged(key []byte) error {
	return fmt.Errorf("%s: %w: the value of %.40q is not what was written", f.path, ErrCorrupt, key)
}
