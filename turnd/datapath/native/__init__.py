"""The native engine: threads in C, where it could be compiled when turnd was installed."""
