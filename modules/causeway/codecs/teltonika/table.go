package teltonika

import "fmt"

// avlTable returns the known AVL properties of the FMB, FMC and FMM families, from
// the manufacturer's public tables "Data Sending Parameters ID". The professional
// FMx6xx devices give many of these ids other meanings: there the widths differ,
// so that the elements stay unnamed, or the option elements tells them apart.
func avlTable() []property {
	var list []property
	for _, part := range [][]property{
		trackerProperties(), geofenceProperties(), obdProperties(),
		canProperties(), flagProperties(), bluetoothProperties(),
	} {
		list = append(list, part...)
	}
	return list
}

// geofenceProperties are the zones 1 to 50: 0 left, 1 entered, 2 over speeding
// ended, 3 over speeding began.
func geofenceProperties() []property {
	var list []property
	for i, id := range []uint16{
		155, 156, 157, 158, 159, 61, 62, 63, 64, 65, 70, 88, 91, 92, 93, 94, 95, 96, 97, 98, 99,
		153, 154, 190, 191, 192, 193, 194, 195, 196, 197, 198, 208, 209, 216, 217, 218, 219, 220,
		221, 222, 223, 224, 225, 226, 227, 228, 229, 230, 231,
	} {
		list = append(list, property{id: id, name: fmt.Sprintf("geofenceZone%02d", i+1), width: 1})
	}
	return list
}
