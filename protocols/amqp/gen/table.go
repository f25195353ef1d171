package main

// table lists the composite types of AMQP 1.0 that the package speaks: a line
// with the Go type, the descriptor's code and symbol, then a line for each
// field with its name, type and default. "!" marks a mandatory field, "?" one
// whose absence means something and is kept.
const table = `
open 0x10 amqp:open:list
  container-id string !
  hostname string
  max-frame-size uint 4294967295
  channel-max ushort 65535
  idle-time-out uint ?
  outgoing-locales symbols
  incoming-locales symbols
  offered-capabilities symbols
  desired-capabilities symbols
  properties map

begin 0x11 amqp:begin:list
  remote-channel ushort ?
  next-outgoing-id uint !
  incoming-window uint !
  outgoing-window uint !
  handle-max uint 4294967295
  offered-capabilities symbols
  desired-capabilities symbols
  properties map

attach 0x12 amqp:attach:list
  name string !
  handle uint !
  role bool !
  snd-settle-mode ubyte 2
  rcv-settle-mode ubyte 0
  source source
  target target
  unsettled map
  incomplete-unsettled bool
  initial-delivery-count uint ?
  max-message-size ulong 0
  offered-capabilities symbols
  desired-capabilities symbols
  properties map

flow 0x13 amqp:flow:list
  next-incoming-id uint ?
  incoming-window uint !
  next-outgoing-id uint !
  outgoing-window uint !
  handle uint ?
  delivery-count uint ?
  link-credit uint ?
  available uint ?
  drain bool
  echo bool
  properties map

transfer 0x14 amqp:transfer:list
  handle uint !
  delivery-id uint ?
  delivery-tag binary
  message-format uint ?
  settled bool ?
  more bool
  rcv-settle-mode ubyte ?
  state state
  resume bool
  aborted bool
  batchable bool

disposition 0x15 amqp:disposition:list
  role bool !
  first uint !
  last uint ?
  settled bool
  state state
  batchable bool

detach 0x16 amqp:detach:list
  handle uint !
  closed bool
  error error

end 0x17 amqp:end:list
  error error

closing 0x18 amqp:close:list
  error error

condition 0x1d amqp:error:list
  condition symbol !
  description string
  info map

source 0x28 amqp:source:list
  address value
  durable uint 0
  expiry-policy symbol session-end
  timeout uint 0
  dynamic bool
  dynamic-node-properties map
  distribution-mode symbol
  filter map
  default-outcome state
  outcomes symbols
  capabilities symbols

target 0x29 amqp:target:list
  address value
  durable uint 0
  expiry-policy symbol session-end
  timeout uint 0
  dynamic bool
  dynamic-node-properties map
  capabilities symbols

coordinator 0x30 amqp:coordinator:list
  capabilities symbols

declare 0x31 amqp:declare:list
  global-id value

discharge 0x32 amqp:discharge:list
  txn-id binary !
  fail bool

saslMechanisms 0x40 amqp:sasl-mechanisms:list
  sasl-server-mechanisms symbols !

saslInit 0x41 amqp:sasl-init:list
  mechanism symbol !
  initial-response binary
  hostname string

saslChallenge 0x42 amqp:sasl-challenge:list
  challenge binary !

saslResponse 0x43 amqp:sasl-response:list
  response binary !

saslOutcome 0x44 amqp:sasl-outcome:list
  code ubyte !
  additional-data binary

header 0x70 amqp:header:list
  durable bool
  priority ubyte 4
  ttl uint ?
  first-acquirer bool
  delivery-count uint 0

properties 0x73 amqp:properties:list
  message-id value
  user-id binary
  to value
  subject string
  reply-to value
  correlation-id value
  content-type symbol
  content-encoding symbol
  absolute-expiry-time timestamp ?
  creation-time timestamp ?
  group-id string
  group-sequence uint ?
  reply-to-group-id string
`
