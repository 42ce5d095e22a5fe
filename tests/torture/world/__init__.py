"""The machine room: hosts in network namespaces, brokers, PostgreSQL, the gateway, the nodes."""
