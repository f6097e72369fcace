"""The engine's store on SQLite, and in memory under the same contract."""
