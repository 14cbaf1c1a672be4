"""The commands: the table, who may, the handlers; the settings view and button actions."""
