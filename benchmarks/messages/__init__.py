"""What one message costs the bot itself: CPU, transactions, time, memory. See docs/performance.md."""
