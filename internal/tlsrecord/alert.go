package tlsrecord

import "fmt"

// Alert is an alert description (RFC 8446 §6).
type Alert uint8

// What a session sends, and what it treats specially when it is received.
const (
	CloseNotify       Alert = 0
	UnexpectedMessage Alert = 10
	BadRecordMAC      Alert = 20
	RecordOverflow    Alert = 22
	IllegalParameter  Alert = 47
	DecodeError       Alert = 50
	UserCanceled      Alert = 90
)

var alertNames = map[Alert]string{
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
	42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
	46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
	51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
	86: "inappropriate_fallback", 90: "user_canceled", 109: "missing_extension", 110: "unsupported_extension",
	112: "unrecognized_name", 116: "certificate_required", 120: "no_application_protocol",
}

// String returns the name in the RFC.
func (a Alert) String() string {
	if name, ok := alertNames[a]; ok {
		return name
	}
	return fmt.Sprintf("alert_%d", uint8(a))
}

// Fault is a violation by the peer. The connection is to end with its alert.
type Fault struct {
	Alert  Alert
	Reason string
}

func (f *Fault) Error() string { return "tls: " + f.Reason }

// Received is a fatal alert of the peer.
type Received struct{ Alert Alert }

func (r *Received) Error() string { return "tls: received alert " + r.Alert.String() }
