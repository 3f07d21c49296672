"""The page on which an administrator erases all data of one person."""
