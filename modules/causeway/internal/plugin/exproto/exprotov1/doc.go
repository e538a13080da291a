// Package exprotov1 is the wire contract of ExProto, generated from exproto.proto.
package exprotov1
