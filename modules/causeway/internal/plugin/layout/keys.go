package layout

// The keys of the objects of a layout. layout.schema.json says the same to editors; a
// test holds them together.
const (
	keysOfAll    = "name about when hide"
	keysOfLayout = "layout about endian bits parameters counters frame envelope head tail select " +
		"identity malformed messages commands examples"
	keysOfTyped = "name about when hide unit type endian size prefix until until_hex scale offset " +
		"decimals enum flags is check encoding trim format pattern zone epoch year invalid checksum from to"
	keysOfValue     = "name about when hide unit value decimals"
	keysOfSwitch    = "about when switch cases else"
	keysOfTLV       = "about when tlv cases else"
	keysOfTLVHead   = "tag length adjust"
	keysOfCheck     = "about when check error"
	keysOfSplit     = "about when split fields"
	keysOfPairs     = "about when pairs fields else"
	keysOfPairMarks = "between equals"
	keysOfMatch     = "about when match fields"
	keysOfRepeat    = "name about when hide unit repeat fields type endian scale offset decimals enum"
	keysOfGroup     = "name about when hide fields size prefix"
	keysOfColumn    = "name about type hide unit enum scale offset decimals pattern zone year invalid " +
		"trim required is check"
	keysOfFrame = "about type limit hex text prefix offset size adjustment strip endian preset " +
		"start end escape"
	keysOfEscape    = "byte xor map"
	keysOfMessage   = "about is needs_login extra fields login message reply ack nak close"
	keysOfLogin     = "about device secret accept refuse"
	keysOfSpec      = "about each when device time body properties bytes content_type content_encoding units"
	keysOfMember    = "value decimals"
	keysOfCommand   = "about payload send key answer timeout"
	keysOfAnswer    = "about message when key ok error result"
	keysOfCounter   = "about from to"
	keysOfParameter = "about type min max one_of default"
	keysOfEnvelope  = "about takes parts"
	keysOfPart      = "name about type value text copy length checksum from to add endian encoding " +
		"size prefix format pattern zone epoch year"
	keysOfExample = "name about options transport frame dialogue hex identity reply messages ack nak"
)
