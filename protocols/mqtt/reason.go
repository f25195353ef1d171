package mqtt

// reason is a reason code of MQTT 5.0 (2.4).
type reason uint8

// The reason codes that the broker sends or understands.
const (
	success                 reason = 0x00 // also: normal disconnection, granted QoS 0
	disconnectWithWill      reason = 0x04
	noSubscriptionExisted   reason = 0x11
	continueAuthentication  reason = 0x18
	reAuthenticate          reason = 0x19
	unspecifiedError        reason = 0x80
	malformedPacket         reason = 0x81
	protocolError           reason = 0x82
	implementationError     reason = 0x83
	unsupportedVersion      reason = 0x84
	badClientID             reason = 0x85
	badUserNameOrPassword   reason = 0x86
	notAuthorized           reason = 0x87
	serverUnavailable       reason = 0x88
	serverBusy              reason = 0x89
	serverShuttingDown      reason = 0x8b
	badAuthenticationMethod reason = 0x8c
	keepAliveTimeout        reason = 0x8d
	sessionTakenOver        reason = 0x8e
	topicFilterInvalid      reason = 0x8f
	topicNameInvalid        reason = 0x90
	packetIDInUse           reason = 0x91
	packetIDNotFound        reason = 0x92
	receiveMaximumExceeded  reason = 0x93
	topicAliasInvalid       reason = 0x94
	packetTooLarge          reason = 0x95
	quotaExceeded           reason = 0x97
	administrativeAction    reason = 0x98
	payloadFormatInvalid    reason = 0x99
	retainNotSupported      reason = 0x9a
	useAnotherServer        reason = 0x9c
	sharedNotSupported      reason = 0x9e
	subscriptionIDs         reason = 0xa1
	wildcardsNotSupported   reason = 0xa2
)

// connackV3 is the return code of CONNACK in MQTT 3.1 and 3.1.1 (3.2.2.3).
func (r reason) connackV3() byte {
	switch r { //nolint:exhaustive // all others are "server unavailable"
	case success:
		return 0
	case unsupportedVersion:
		return 1
	case badClientID:
		return 2
	case badUserNameOrPassword:
		return 4
	case notAuthorized, badAuthenticationMethod:
		return 5
	}
	return 3
}
