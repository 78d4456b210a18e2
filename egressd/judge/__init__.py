"""Does it break the claim: stages, findings, policy."""
