package histfile

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"holdfast/internal/hub"
)

// A message's key is its id (8 bytes) and its channel. Its value is the sum (4), flags (1), the id before it (8), its
// time in nanoseconds (8), the length of its event's name (a uvarint), that name, and the data.
const recordHead = 1 + 8 + 8

const jsonFlag = 1

var sums = crc32.MakeTable(crc32.Castagnoli)

func recordKey(id hub.ID, channel string) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(channel)), uint64(id)), channel...)
}

func appendRecord(b []byte, r *hub.Record) []byte {
	var flags byte
	if r.JSON {
		flags |= jsonFlag
	}
	b = append(b, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Before))
	b = binary.BigEndian.AppendUint64(b, uint64(r.At))
	b = binary.AppendUvarint(b, uint64(len(r.Event)))
	b = append(b, r.Event...)
	return append(b, r.Data...)
}

// parseRecord copies what it returns.
func parseRecord(key, body []byte) (r hub.Record, ok bool) {
	if len(key) < 8 || len(body) < recordHead {
		return r, false
	}
	length, n := binary.Uvarint(body[recordHead:])
	text := body[recordHead+max(n, 0):]
	if n <= 0 || length > uint64(len(text)) {
		return r, false
	}
	return hub.Record{
		ID:      hub.ID(binary.BigEndian.Uint64(key)),
		Channel: string(key[8:]),
		JSON:    body[0]&jsonFlag != 0,
		Before:  hub.ID(binary.BigEndian.Uint64(body[1:])),
		At:      int64(binary.BigEndian.Uint64(body[9:])),
		Event:   string(text[:length]),
		Data:    bytes.Clone(text[length:]),
	}, true
}

// addChecksum returns body with a sum of key and body in front.
func addChecksum(key, body []byte) []byte {
	b := make([]byte, 4, 4+len(body))
	binary.BigEndian.PutUint32(b, sumOf(key, body))
	return append(b, body...)
}

func checksummedID(key []byte, id hub.ID) []byte {
	return addChecksum(key, binary.BigEndian.AppendUint64(nil, uint64(id)))
}

func verifyChecksum(key, value []byte) (body []byte, ok bool) {
	if len(value) < 4 || binary.BigEndian.Uint32(value) != sumOf(key, value[4:]) {
		return nil, false
	}
	return value[4:], true
}

func sumOf(key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, sums), sums, body)
}
