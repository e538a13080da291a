package teltonika

// flagProperties are the states of ALL-CAN300 and CAN-CONTROL that devices send as
// one byte each, 0 or 1. The prefix is the manufacturer's: ssf security, csf
// control, isf indicator, asf agricultural, usf utility, cisf cistern state flags.
func flagProperties() []property {
	var list []property
	for _, run := range flagRuns() {
		for i, name := range run.names {
			list = append(list, property{id: run.first + uint16(i), name: name, width: 1})
		}
	}
	return list
}

// flagRun is a run of flags with consecutive ids.
type flagRun struct {
	first uint16
	names []string
}

func flagRuns() []flagRun {
	return []flagRun{
		{652, []string{
			"ssfKeyInIgnitionLock", "ssfHandbrakeActive", "ssfFrontLeftDoorOpen", "ssfFrontRightDoorOpen",
			"ssfRearLeftDoorOpen", "ssfRearRightDoorOpen", "ssfTrunkDoorOpen", "ssfNeutralGearActive",
			"ssfParkingGearActive", "ssfReverseGearActive", "ssfCarClosed",
		}},
		{898, []string{
			"ssfIgnition", "ssfWebasto", "ssfEngineWorking", "ssfStandaloneEngine", "ssfReadyToDrive",
			"ssfEngineWorkingOnCng", "ssfWorkMode", "ssfOperator", "ssfInterlock", "ssfEngineLockActive",
			"ssfRequestToLockEngine", "ssfRoofOpen", "ssfFootbrakeActive", "ssfClutchPushed",
			"ssfHazardWarningLights", "ssfEngineCoverOpen", "ssfChargingWirePlugged", "ssfBatteryCharging",
			"ssfElectricEngineState", "ssfCarClosedFactoryRemote", "ssfFactoryAlarmActuated",
			"ssfFactoryAlarmEmulated", "ssfSignalCloseFactoryRemote", "ssfSignalOpenFactoryRemote",
			"ssfRearmingSignal", "ssfTrunkDoorOpenedFactoryRemote", "ssfCanModuleInSleep",
			"ssfFactoryRemote3x", "ssfFactoryArmed", "ssfDriveActive", "csfParkingLights",
			"csfDippedHeadlights", "csfFullBeamHeadlights", "csfRearFogLights", "csfFrontFogLights",
			"csfAdditionalFrontLights", "csfAdditionalRearLights", "csfLightSignal", "csfAirConditioning",
			"csfCruiseControl", "csfAutomaticRetarder", "csfManualRetarder", "csfDriverSeatbeltFastened",
			"csfFrontSeatbeltFastened", "csfLeftSeatbeltFastened", "csfRightSeatbeltFastened",
			"csfCentreSeatbeltFastened", "csfFrontPassengerPresent", "csfPto", "csfFrontDifferentialLocked",
			"csfRearDifferentialLocked", "csfCentralDifferential4HiLocked", "csfRearDifferential4LoLocked",
			"csfTrailerAxle1LiftActive", "csfTrailerAxle2LiftActive", "isfCheckEngine", "isfAbs", "isfEsp",
			"isfEspTurnedOff", "isfStop", "isfOilLevel", "isfCoolantLevel", "isfBatteryNotCharging",
			"isfHandbrakeSystem", "isfAirbag", "isfEps", "isfWarning", "isfLightsFailure",
			"isfLowTirePressure", "isfWearOfBrakePads", "isfLowFuelLevel", "isfMaintenanceRequired",
			"isfGlowPlug", "isfFap", "isfEpc", "isfCloggedEngineOilFilter", "isfLowEngineOilPressure",
			"isfHighEngineOilTemperature", "isfLowCoolantLevel", "isfCloggedHydraulicOilFilter",
			"isfHydraulicLowPressure", "isfHydraulicOilLowLevel", "isfHydraulicHighTemperature",
			"isfOilOverflowInHydraulicChamber", "isfCloggedAirFilter", "isfCloggedFuelFilter",
			"isfWaterInFuel", "isfCloggedBrakeSystemFilter", "isfLowWasherFluidLevel", "isfLowAdBlueLevel",
			"isfLowTrailerTyrePressure", "isfWearOfTrailerBrakeLining", "isfHighTrailerBrakeTemperature",
			"isfIncorrectTrailerPneumaticSupply", "isfLowCngLevel", "asfRightJoystickRight",
			"asfRightJoystickLeft", "asfRightJoystickForward", "asfRightJoystickBack", "asfLeftJoystickRight",
			"asfLeftJoystickLeft", "asfLeftJoystickForward", "asfLeftJoystickBack", "asfFirstRearHydraulic",
			"asfSecondRearHydraulic", "asfThirdRearHydraulic", "asfFourthRearHydraulic",
			"asfFirstFrontHydraulic", "asfSecondFrontHydraulic", "asfThirdFrontHydraulic",
			"asfFourthFrontHydraulic", "asfFrontThreePointHitch", "asfRearThreePointHitch",
			"asfFrontPowerTakeOff", "asfRearPowerTakeOff", "asfMowingActive", "asfThreshingActive",
			"asfGrainReleaseFromHopper", "asfGrainTank100Full", "asfGrainTank70Full", "asfGrainTankOpened",
			"asfUnloaderDrive", "asfCleaningFanControlOff", "asfThreshingDrumControlOff",
			"asfStrawWalkerClogged", "asfExcessiveClearanceUnderDrum", "asfLowDriveHydraulicsTemperature",
			"asfHighDriveHydraulicsTemperature", "asfEarAugerSpeedLow", "asfGrainAugerSpeedLow",
			"asfStrawChopperSpeedLow", "asfStrawShakerSpeedLow", "asfFeederSpeedLow", "asfStrawChopperOn",
			"asfCornHeaderConnected", "asfGrainHeaderConnected", "asfFeederReverseOn",
			"asfHydraulicPumpFilterClogged", "usfSaltSpreading", "usfPouringChemicals", "usfConveyorBelt",
			"usfSaltSpreaderDriveWheel", "usfBrushes", "usfVacuumCleaner", "usfWaterSupply",
		}},
		{1044, []string{
			"usfLiquidPump", "usfUnloadingFromHopper", "usfLowSaltLevel", "usfLowWaterLevel", "usfChemicals",
			"usfCompressor", "usfWaterValveOpened", "usfCabinMovedUp", "usfCabinMovedDown",
			"cisfSection1FluidInDownpipe", "cisfSection1Filled", "cisfSection1Overfilled",
			"cisfSection2FluidInDownpipe", "cisfSection2Filled", "cisfSection2Overfilled",
			"cisfSection3FluidInDownpipe", "cisfSection3Filled", "cisfSection3Overfilled",
			"cisfSection4FluidInDownpipe", "cisfSection4Filled", "cisfSection4Overfilled",
			"cisfSection5FluidInDownpipe", "cisfSection5Filled", "cisfSection5Overfilled",
			"cisfSection6FluidInDownpipe", "cisfSection6Filled", "cisfSection6Overfilled",
			"cisfSection7FluidInDownpipe", "cisfSection7Filled", "cisfSection7Overfilled",
			"cisfSection8FluidInDownpipe", "cisfSection8Filled", "cisfSection8Overfilled",
		}},
		{1083, []string{
			"ssfEngineWorkingOnDualFuel", "ssfEngineWorkingOnLpg", "csfTrailerConnected",
			"csfStartStopSystemInactive", "asfAdapterPressureFilterSensor", "asfService2Required",
			"asfDrainFilterClogged", "asfSection1Spraying", "asfSection2Spraying", "asfSection3Spraying",
			"asfSection4Spraying", "asfSection5Spraying", "asfSection6Spraying", "asfSection7Spraying",
			"asfSection8Spraying", "asfSection9Spraying", "usfHydraulicsWorkNotPermitted",
		}},
	}
}
