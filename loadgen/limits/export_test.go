package limits

// What takes long with the race detector and shows nothing more.
func init() { lagBytes, lagEvent, mostEvent = 64<<10, 1<<10, 1<<20 }
