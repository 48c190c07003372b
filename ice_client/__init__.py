"""An ICE agent and a TURN client for trio."""
