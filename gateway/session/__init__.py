"""Sessions: state machines, utterances, playout, pacing.  Pure, but for connection and ticker."""
