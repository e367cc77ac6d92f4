package reporttest

import (
	"reflect"

	"ssegauge/reports/result"
)

// AllHostile is a load run of which every text that can be stored is [Hostile], every list and optional part is there, and every map has a key of that name too.
func AllHostile() *result.Run {
	r := LoadFailing()
	r.Interrupted = false
	fill(reflect.ValueOf(r.Load), 0)
	r.Load.Findings[0].Verdict = result.Fail // or nobody would show it
	r.Target, r.Tool = result.Target{URL: Hostile, HTTP: Hostile}, result.Tool{Version: Hostile}
	return r
}

// HostileLimits is the like of a search for limits; one of them is found.
func HostileLimits() *result.Run {
	r := Limits()
	fill(reflect.ValueOf(r.Limits), 0)
	r.Limits.Limits[1].Verdict = result.LimitFound
	r.Target, r.Tool = result.Target{URL: Hostile, HTTP: Hostile}, result.Tool{Version: Hostile}
	return r
}

// fill goes through v and puts [Hostile] wherever there is text.
func fill(v reflect.Value, depth int) {
	if depth > 8 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(Hostile)
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		fill(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "HDR" {
				fill(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		if v.Len() == 0 && v.Type().Elem().Kind() != reflect.Uint8 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		for _, key := range append(v.MapKeys(), reflect.ValueOf(Hostile).Convert(v.Type().Key())) {
			e := reflect.New(v.Type().Elem()).Elem()
			if old := v.MapIndex(key); old.IsValid() {
				e.Set(old)
			}
			fill(e, depth+1)
			v.SetMapIndex(key, e)
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(Hostile))
	}
}
