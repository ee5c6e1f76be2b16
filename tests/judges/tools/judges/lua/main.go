// Runs a health script as Argo CD does: the same interpreter, with the same few libraries open.
//
//	lua SCRIPT < object.json
package main

import (
	"encoding/json"
	"fmt"
	"os"

	lua "github.com/yuin/gopher-lua"
)

func main() {
	var object map[string]any
	fail(json.NewDecoder(os.Stdin).Decode(&object))
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage,
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	} {
		call := lua.P{Fn: state.NewFunction(open), Protect: true}
		fail(state.CallByParam(call, lua.LString(name)))
	}
	state.SetGlobal("obj", value(state, object))
	fail(state.DoFile(os.Args[1]))
	answer, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		fail(fmt.Errorf("the script returned %s, not a table", state.Get(-1).Type()))
	}
	fail(json.NewEncoder(os.Stdout).Encode(map[string]string{
		"status":  lua.LVAsString(answer.RawGetString("status")),
		"message": lua.LVAsString(answer.RawGetString("message")),
	}))
}

func value(state *lua.LState, from any) lua.LValue {
	switch typed := from.(type) {
	case string:
		return lua.LString(typed)
	case float64:
		return lua.LNumber(typed)
	case bool:
		return lua.LBool(typed)
	case []any:
		table := state.NewTable()
		for _, item := range typed {
			table.Append(value(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range typed {
			table.RawSetString(key, value(state, item))
		}
		return table
	}
	return lua.LNil
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
