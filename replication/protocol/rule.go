package protocol

// Rule names a rule that can be left out. Brokers never do: the simulation shows with it that it would notice.
type Rule uint8

// The rules.
const (
	AllRules          Rule = iota
	RefuseOldEpochs        // a node that has promised an epoch ignores masters and candidates of earlier ones
	CompareEpochs          // logs are compared by epoch first, then by index
	CommitOwnEpoch         // what earlier epochs left is committed by a frame of the present one only
	CampaignInSync         // only members of the in-sync set may become master
	CountIncarnations      // an earlier incarnation's acknowledgements count for nothing
	JointChange            // the in-sync set changes by a joint rule, once the new one covers everything
	AwaitQuorum            // nothing is committed before a quorum has it
	FenceQuorum            // a candidate needs the promises of a set that meets every quorum
	KeepPromises           // promises are durable
	CoverBarrier           // a change of the in-sync set covers the barrier, not only what is known to be committed
)

// String returns the rule's name.
func (r Rule) String() string {
	return [...]string{
		"all rules", "refuse old epochs", "compare epochs", "commit own epoch", "campaign in sync", "count incarnations",
		"joint change", "await quorum", "fence quorum", "keep promises", "cover barrier",
	}[r]
}
